// Package auth owns who is calling: the account that the edge has authenticated
// and that travels down in the context. It decides nothing about sessions or
// keys (see customers and keys). Services, the …api run time and the edge import
// it; it imports only fault.
package auth

import (
	"context"
	"net/netip"

	"m3o/internal/carry"
	"m3o/internal/fault"
)

// Type is the kind of an account.
type Type string

// The kinds of accounts.
const (
	TypeCustomer Type = "customer" // a person who signed up
	TypeAdmin    Type = "admin"    // an operator; "user" with scope "admin" on the wire, as in M3O
	TypeService  Type = "service"  // one of our own services, calling for itself

	TypeShopUser  Type = "shop-user"  // somebody who buys in the shop
	TypeShopAdmin Type = "shop-admin" // who runs the shop; nobody in the platform
)

// Account is who is calling.
type Account struct {
	ID      string // cus_…; usr_… in the shop
	Type    Type
	Session string // the session that was presented; empty for services
}

// IsAdmin says whether the account may act on any customer.
func (a Account) IsAdmin() bool { return a.Type == TypeAdmin || a.Type == TypeService }

// With returns a context in which a is the caller.
func With(ctx context.Context, a Account) context.Context { return carry.With(ctx, a) }

// From is the caller of the context; false when nobody has been authenticated.
func From(ctx context.Context) (Account, bool) { return carry.From[Account](ctx) }

// AsService returns a context in which the named service of ours is the caller.
func AsService(ctx context.Context, name string) context.Context {
	return With(ctx, Account{ID: name, Type: TypeService})
}

// Caller is the caller of the context, or fault.Unauthenticated.
func Caller(ctx context.Context) (Account, error) {
	a, ok := From(ctx)
	if !ok {
		return Account{}, fault.New(fault.Unauthenticated, "Unauthorized")
	}
	return a, nil
}

// Own is the rule "own, or admin": the customer a call is about when it names
// customerID. Empty means the caller's own. Another's is fault.Forbidden unless
// the caller is an admin.
func Own(ctx context.Context, customerID string) (string, error) {
	a, err := Caller(ctx)
	if err != nil {
		return "", err
	}
	if customerID == "" || customerID == a.ID {
		return a.ID, nil
	}
	if !a.IsAdmin() {
		return "", fault.New(fault.Forbidden, "only an admin may do this for another customer")
	}
	return customerID, nil
}

// Admin is the rule "admin only".
func Admin(ctx context.Context) error {
	a, err := Caller(ctx)
	if err != nil {
		return err
	}
	if !a.IsAdmin() {
		return fault.New(fault.Forbidden, "only an admin may do this")
	}
	return nil
}

// ShopAdmin is the rule "shop admin only": an admin of the shop or of the platform, or one of our own services.
func ShopAdmin(ctx context.Context) error {
	a, err := Caller(ctx)
	if err != nil {
		return err
	}
	if !a.IsAdmin() && a.Type != TypeShopAdmin {
		return fault.New(fault.Forbidden, "only an admin of the shop may do this")
	}
	return nil
}

// ShopOwn is the rule "own, or shop admin": the shop's user a call is about when it names
// userID. Empty means the caller's own. A customer of the platform has nothing in the shop.
func ShopOwn(ctx context.Context, userID string) (string, error) {
	a, err := Caller(ctx)
	switch {
	case err != nil:
		return "", err
	case a.Type == TypeShopUser && (userID == "" || userID == a.ID):
		return a.ID, nil
	case a.Type == TypeShopAdmin && userID == "":
		return a.ID, nil
	}
	if err := ShopAdmin(ctx); err != nil {
		return "", err
	}
	return userID, nil
}

// client is the address of whoever sent the context's request.
type client string

// WithClient returns a context whose request came from that address (an IP
// without a port), as far as the edge trusts what it was told.
func WithClient(ctx context.Context, ip string) context.Context {
	return carry.With(ctx, client(ip))
}

// Client is the address of the context's request, empty when there is none.
func Client(ctx context.Context) string {
	ip, _ := carry.From[client](ctx)
	return string(ip)
}

// Network is what counts as one client where clients are counted: an IPv4 address, or an
// IPv6 /64, which is what a single line is given.
func Network(client string) string {
	addr, err := netip.ParseAddr(client)
	if err != nil || !addr.Unmap().Is6() {
		return client
	}
	prefix, err := addr.WithZone("").Prefix(64)
	if err != nil {
		return client
	}
	return prefix.String()
}
