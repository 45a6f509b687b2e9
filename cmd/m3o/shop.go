package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"

	shopv1 "m3o/pkg/shop/v1"
	"m3o/pkg/shop/v1/shopv1connect"
)

type shopCmd struct {
	Seed seedCmd `cmd:"" help:"Fill the shop with made-up products and users."`
}

type seedCmd struct {
	Products     int    `default:"1000" placeholder:"N" help:"How many made-up products the shop shall have."`
	Users        int    `default:"100" placeholder:"N" help:"How many made-up users."`
	URL          string `name:"url" default:"http://localhost:8080" env:"M3O_ADDRESS" placeholder:"URL" help:"Where m3o runs."`
	Token        string `env:"M3O_TOKEN" placeholder:"TOKEN" help:"Token of an admin of the shop or the platform; else --email and --password log in."`
	Email        string `env:"M3O_SHOP_ADMIN_EMAIL" placeholder:"EMAIL" help:"Who logs in."`
	Password     string `env:"M3O_SHOP_ADMIN_PASSWORD" placeholder:"PASSWORD" help:"With which password."`
	UserPassword string `env:"M3O_SHOP_SEED_PASSWORD" placeholder:"PASSWORD" help:"Password of the users that are made; else a random one is printed."`
}

// seedMax is the most that seed makes of a kind: it remembers the names of what is there.
const seedMax = 100_000

// Run makes what is not there yet, and says how to go on. It can be repeated: products are known by their names, users by
// their addresses.
func (c *seedCmd) Run(ctx context.Context, s streams) error {
	if c.Products < 0 || c.Products > seedMax || c.Users < 0 || c.Users > seedMax {
		return fmt.Errorf("--products and --users take a number from 0 to %d", seedMax)
	}
	shop := newShopClient(strings.TrimSuffix(c.URL, "/"))
	if err := shop.enter(ctx, c.Token, c.Email, c.Password); err != nil {
		return err
	}
	if err := shop.addProducts(ctx, s.out, madeUpProducts(c.Products)); err != nil {
		return err
	}
	people := madeUpUsers(c.Users)
	password, err := shop.registerUsers(ctx, s.out, people, c.UserPassword)
	if err != nil {
		return err
	}
	return shop.goOn(s.out, people, password)
}

// shopClient is an admin in a shop.
type shopClient struct {
	url      string
	token    string
	users    shopv1connect.UsersServiceClient
	products shopv1connect.ProductsServiceClient
}

func newShopClient(address string) *shopClient {
	client := &http.Client{Timeout: 30 * time.Second} // some more than the shop gives a call
	return &shopClient{
		url: address, users: shopv1connect.NewUsersServiceClient(client, address), products: shopv1connect.NewProductsServiceClient(client, address),
	}
}

// enter gets a token of somebody who may fill the shop.
func (s *shopClient) enter(ctx context.Context, token, email, password string) error {
	owner := "the owner of the token"
	if s.token = token; token == "" {
		if email == "" || password == "" {
			return errors.New("seeding needs an admin of the shop: set M3O_SHOP_ADMIN_EMAIL and M3O_SHOP_ADMIN_PASSWORD as m3o was started with, or give --email and --password, or --token")
		}
		login, err := s.users.Login(ctx, connect.NewRequest(&shopv1.LoginRequest{Email: email, Password: password}))
		if err != nil {
			return s.told("log in as "+email, err)
		}
		s.token, owner = login.Msg.GetToken(), email
	}
	_, err := s.users.GetUsers(ctx, as(s.token, &shopv1.GetUsersRequest{Limit: 1})) // which admins may do
	if connect.CodeOf(err) == connect.CodePermissionDenied {
		return fmt.Errorf("%s is no admin of the shop: use the one of M3O_SHOP_ADMIN_EMAIL, or have an admin register another", owner)
	}
	return s.told("look whether "+owner+" is an admin", err)
}

// as is a request of the token's owner.
func as[T any](token string, message *T) *connect.Request[T] {
	r := connect.NewRequest(message)
	r.Header().Set("Authorization", "Bearer "+token)
	return r
}

// told is an error in a sentence: what the shop has said, or that there is none.
func (s *shopClient) told(doing string, err error) error {
	var said *connect.Error
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &said):
		return fmt.Errorf("%s: %w", doing, err)
	case connect.IsWireError(err):
		return fmt.Errorf("%s: %s", doing, said.Message())
	case said.Code() == connect.CodeUnavailable || said.Code() == connect.CodeDeadlineExceeded:
		return fmt.Errorf("m3o at %s cannot be reached: %s: start it, or say where it is with --url", s.url, said.Message())
	}
	return fmt.Errorf("%s: there is no shop at %s: is that m3o, with users and products? (%w)", doing, s.url, err)
}

// addProducts adds those whose names are not in the shop.
func (s *shopClient) addProducts(ctx context.Context, out io.Writer, all []*shopv1.AddProductRequest) error {
	there := map[string]bool{}
	for cursor, more := "", len(all) > 0; more; more = cursor != "" {
		page, err := s.products.GetProducts(ctx, as(s.token, &shopv1.GetProductsRequest{Limit: 1000, Cursor: cursor}))
		if err != nil {
			return s.told("list the products", err)
		}
		for _, p := range page.Msg.GetProducts() {
			there[p.GetName()] = true
		}
		cursor = page.Msg.GetNextCursor()
	}
	missing := slices.DeleteFunc(slices.Clone(all), func(p *shopv1.AddProductRequest) bool { return there[p.GetName()] })
	_, _ = fmt.Fprintf(out, "products: %d of %d are there\n", len(all)-len(missing), len(all))
	return inParallel(ctx, out, "products", missing, func(ctx context.Context, p *shopv1.AddProductRequest) error {
		_, err := s.products.AddProduct(ctx, as(s.token, p))
		return s.told("add "+p.GetName(), err)
	})
}

// registerUsers registers those whose addresses have no user, under a password or, where it is empty, one that it makes up,
// tells and returns.
func (s *shopClient) registerUsers(ctx context.Context, out io.Writer, all []*shopv1.RegisterUserRequest, password string) (madeUp string, err error) {
	there := map[string]bool{}
	for cursor, more := "", len(all) > 0; more; more = cursor != "" {
		page, err := s.users.GetUsers(ctx, as(s.token, &shopv1.GetUsersRequest{Search: madeUpDomain, Limit: 1000, Cursor: cursor}))
		if err != nil {
			return "", s.told("list the users", err)
		}
		for _, u := range page.Msg.GetUsers() {
			there[u.GetEmail()] = true
		}
		cursor = page.Msg.GetNextCursor()
	}
	missing := slices.DeleteFunc(slices.Clone(all), func(u *shopv1.RegisterUserRequest) bool { return there[u.GetEmail()] })
	_, _ = fmt.Fprintf(out, "users: %d of %d are there\n", len(all)-len(missing), len(all))
	if len(missing) > 0 && password == "" {
		madeUp = strings.ToLower(rand.Text()[:16])
		password = madeUp
		_, _ = fmt.Fprintf(out, "users: those made now have the password %s, which is shown this once\n", password)
	}
	return madeUp, inParallel(ctx, out, "users", missing, func(ctx context.Context, u *shopv1.RegisterUserRequest) error {
		u.Password = password
		_, err := s.users.RegisterUser(ctx, as(s.token, u))
		return s.told("register "+u.GetEmail(), err)
	})
}

// goOn shows what can be done with the shop now.
func (s *shopClient) goOn(out io.Writer, people []*shopv1.RegisterUserRequest, password string) error {
	ask := func(query string) string {
		body, _ := json.Marshal(map[string]string{"query": query}) // a map of texts is always JSON
		return fmt.Sprintf("curl %s/graphql -H 'Content-Type: application/json' -d '%s'\n", s.url, body)
	}
	var b strings.Builder
	b.WriteString("\nThe shop is filled. Ask it for products:\n\n" + ask("{ products(first: 3) { id name price stock } }"))
	if len(people) > 0 {
		login := fmt.Sprintf("mutation { login(input: {email: %q, password: %q}) { token } }", people[len(people)-1].GetEmail(), cmp.Or(password, "THEIR PASSWORD"))
		b.WriteString("\nLog in as one of the users, for a token to place orders with:\n\n" + ask(login))
	}
	b.WriteString("\nThe playground has more: " + s.url + "/playground\n")
	_, err := io.WriteString(out, b.String())
	return err
}

// seedWorkers is how many calls are made at the same time.
const seedWorkers = 8

// inParallel does one thing for each, several at a time, and shows how far it is. After the first error, which it returns,
// it begins no more.
func inParallel[T any](ctx context.Context, out io.Writer, what string, all []T, do func(context.Context, T) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next, done := make(chan T), make(chan struct{}, len(all))
	var workers sync.WaitGroup
	for range seedWorkers {
		workers.Go(func() {
			for one := range next {
				if err := do(ctx, one); err != nil {
					cancel(err)
					return
				}
				done <- struct{}{}
			}
		})
	}
	workers.Go(func() {
		defer close(next)
		for _, one := range all {
			select {
			case next <- one:
			case <-ctx.Done():
				return
			}
		}
	})
	go func() { workers.Wait(); close(done) }()
	n, tenth := 0, max(len(all)/10, 1)
	for range done {
		if n++; n%tenth == 0 || n == len(all) {
			_, _ = fmt.Fprintf(out, "%s: %d of %d made\n", what, n, len(all))
		}
	}
	return context.Cause(ctx)
}
