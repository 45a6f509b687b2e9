package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"m3o/test/bench/load"
)

// The people of the bench's shop. It can be reached from this machine only, and is gone when the bench is.
const (
	adminEmail = "admin@shop.example"
	buyerEmail = "buyer@shop.example"
	password   = "a bench needs no secret"
)

// products is how many the shop sells.
const products = 200

// house is a running m3o with a shop that sells products.
type house struct {
	*load.M3O
	ids   []string // of the products
	buyer string   // the token of one who buys
}

func open(binary load.Binary, dir string, env ...string) (*house, error) {
	env = append(env, "M3O_SHOP_ADMIN_EMAIL="+adminEmail, "M3O_SHOP_ADMIN_PASSWORD="+password)
	m, err := binary.Start(dir, "none", env...)
	if err != nil {
		return nil, err
	}
	h := &house{M3O: m}
	if err := h.fill(); err != nil {
		_ = h.Stop()
		return nil, err
	}
	return h, nil
}

// fill puts products on sale and makes somebody who buys.
func (h *house) fill() error {
	admin, err := h.login(adminEmail)
	if err != nil {
		return err
	}
	for n := range products {
		p := load.NewProduct(n)
		var made struct{ CreateProduct struct{ ID string } }
		err := h.ask(admin, `mutation($p: CreateProduct!) { createProduct(input: $p) { id } }`, map[string]any{
			"p": map[string]any{"name": p.Name, "description": p.Description, "price": p.Price, "stock": p.Stock},
		}, &made)
		if err != nil {
			return err
		}
		h.ids = append(h.ids, made.CreateProduct.ID)
	}
	register := fmt.Sprintf(`mutation { registerUser(input: {email: %q, username: "buyer", password: %q, type: 0}) { id } }`, buyerEmail, password)
	if err := h.ask("", register, nil, nil); err != nil {
		return err
	}
	h.buyer, err = h.login(buyerEmail)
	return err
}

func (h *house) login(email string) (token string, err error) {
	var got struct{ Login struct{ Token string } }
	err = h.ask("", fmt.Sprintf(`mutation { login(input: {email: %q, password: %q}) { token } }`, email, password), nil, &got)
	return got.Login.Token, err
}

// ask sends an operation and decodes its data into out, unless that is nil. An error in the answer is an error.
func (h *house) ask(token, query string, variables map[string]any, out any) error {
	r, err := http.NewRequest(http.MethodPost, h.Address+load.ShopPath, bytes.NewReader(body(query, variables)))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", token)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	var got struct {
		Data   json.RawMessage
		Errors json.RawMessage
	}
	if err := json.Unmarshal(text, &got); err != nil || got.Errors != nil {
		return fmt.Errorf("%s: %s %s", query, answer.Status, text)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(got.Data, out)
}

// body is the request of an operation.
func body(query string, variables map[string]any) []byte {
	text, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		panic(err) // it is made of texts and numbers
	}
	return text
}

// placed is how many orders there are, as the metrics say.
func (h *house) placed() (int, error) {
	return h.Counter("orders_orders", `outcome="placed"`)
}
