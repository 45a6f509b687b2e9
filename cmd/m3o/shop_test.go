package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"m3o/internal/app/apptest"
)

const shopAdmin, shopPassword = "root@example.com", "correct horse battery"

// seed runs m3o shop seed.
func seed(t *testing.T, args ...string) (out string, err error) {
	t.Helper()
	var printed bytes.Buffer
	var line struct {
		Shop shopCmd `cmd:""`
	}
	parser, err := kong.New(&line, kong.BindTo(t.Context(), (*context.Context)(nil)), kong.Bind(streams{&printed, &printed}))
	if err != nil {
		t.Fatal(err)
	}
	command, err := parser.Parse(append([]string{"shop", "seed"}, args...))
	if err != nil {
		t.Fatal(err)
	}
	err = command.Run()
	return printed.String(), err
}

// startShop starts a house with an admin of the shop.
func startShop(t *testing.T) *apptest.System {
	t.Helper()
	return apptest.Start(t, apptest.Set("SHOP", "ADMIN_EMAIL", shopAdmin), apptest.Set("SHOP", "ADMIN_PASSWORD", shopPassword))
}

// count is how many products and users there are.
func count(t *testing.T, s *apptest.System, token string) (products, users int) {
	t.Helper()
	list := func(service, method string) int {
		var page map[string]json.RawMessage
		var all []any
		s.Do(http.MethodPost, "/m3o.shop.v1."+service+"/"+method, token, map[string]any{"limit": 1000}).Into(t, &page)
		if err := json.Unmarshal(page[strings.ToLower(strings.TrimPrefix(method, "Get"))], &all); err != nil {
			t.Fatalf("%s: %v", page, err)
		}
		return len(all)
	}
	return list("ProductsService", "GetProducts"), list("UsersService", "GetUsers")
}

func TestSeedFillsTheShopOnce(t *testing.T) {
	t.Parallel()
	s := startShop(t)
	login := func(email, password string) (token string) {
		var said struct{ Token string }
		s.Do(http.MethodPost, "/m3o.shop.v1.UsersService/Login", "", map[string]string{"email": email, "password": password}).Into(t, &said)
		return said.Token
	}
	admin := login(shopAdmin, shopPassword)
	args := []string{"--url", s.URL + "/", "--email", shopAdmin, "--password", shopPassword}
	out, err := seed(t, append(args, "--products", "30", "--users", "4")...)
	if err != nil {
		t.Fatal(err)
	}
	if products, users := count(t, s, admin); products != 30 || users != 5 {
		t.Errorf("there are %d products and %d users", products, users)
	}
	if !strings.Contains(out, "products: 30 of 30 made\n") || !strings.Contains(out, "users: 4 of 4 made\n") {
		t.Errorf("it says %s", out)
	}
	found := regexp.MustCompile(`email: \\"(\S+)\\", password: \\"(\w+)\\"`).FindStringSubmatch(out)
	if len(found) != 3 || login(found[1], found[2]) == "" {
		t.Errorf("the login that it shows is %v", found)
	}

	again, err := seed(t, append(args, "--products", "30", "--users", "4", "--user-password", "another password")...)
	if err != nil || !strings.Contains(again, "products: 30 of 30 are there") || !strings.Contains(again, "users: 4 of 4 are there") || strings.Contains(again, "made\n") {
		t.Errorf("again, it says %s, %v", again, err)
	}
	out, err = seed(t, "--url", s.URL, "--token", admin, "--products", "35", "--users", "6", "--user-password", "another password")
	if err != nil || strings.Contains(out, "another password") {
		t.Errorf("with more, it says %s, %v", out, err)
	}
	if products, users := count(t, s, admin); products != 35 || users != 7 {
		t.Errorf("with more, there are %d products and %d users", products, users)
	}
	if login(madeUpUsers(6)[5].GetEmail(), "another password") == "" {
		t.Error("the password that was asked for does not log in")
	}
}

func TestSeedSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	s := startShop(t)
	if answer := s.Do(http.MethodPost, "/m3o.shop.v1.UsersService/RegisterUser", "", map[string]string{"email": "ada@example.com", "username": "Ada", "password": shopPassword}); answer.Status != http.StatusOK {
		t.Fatalf("%s", answer.Body)
	}
	other := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(other.Close)
	for name, test := range map[string]struct{ args, want string }{
		"Away":          {"--url http://127.0.0.1:1 --email " + shopAdmin + " --password x", "m3o at http://127.0.0.1:1 cannot be reached"},
		"NoShop":        {"--url " + other.URL + " --token x", "there is no shop at " + other.URL},
		"NobodyNamed":   {"--url " + s.URL, "M3O_SHOP_ADMIN_EMAIL"},
		"WrongPassword": {"--url " + s.URL + " --email " + shopAdmin + " --password wrong", "log in as " + shopAdmin + ": wrong address or password"},
		"BadToken":      {"--url " + s.URL + " --token a.b.c", "log in again"},
		"NoAdmin":       {"--url " + s.URL + " --email ada@example.com --password correct", "ada@example.com is no admin of the shop"},
		"TooMany":       {"--url " + s.URL + " --products 100001", "from 0 to 100000"},
		"TooFew":        {"--url " + s.URL + " --users=-1", "from 0 to 100000"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := strings.Fields(test.args)
			if name == "NoAdmin" {
				args[len(args)-1] = shopPassword
			}
			if out, err := seed(t, args...); err == nil || !strings.Contains(err.Error(), test.want) || out != "" {
				t.Errorf("err = %v, out %s", err, out)
			}
		})
	}
}

func TestMadeUpThingsAreDistinctAndAlwaysTheSame(t *testing.T) {
	t.Parallel()
	names, addresses := map[string]bool{}, map[string]bool{}
	for _, p := range madeUpProducts(seedMax) {
		if names[p.GetName()] || p.GetPrice() <= 0 || p.GetStock() <= 0 || len(p.GetName()) > 100 {
			t.Fatalf("%v", p)
		}
		names[p.GetName()] = true
	}
	for _, u := range madeUpUsers(seedMax) {
		if addresses[u.GetEmail()] || strings.Contains(u.GetEmail(), " ") {
			t.Fatalf("%v", u)
		}
		addresses[u.GetEmail()] = true
	}
	few, many := madeUpProducts(7), madeUpProducts(700)
	for i, p := range few {
		if p.String() != many[i].String() {
			t.Errorf("%v among few, %v among many", p, many[i])
		}
	}
}
