package users

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"m3o/internal/auth"
	"m3o/internal/bus"
	"m3o/internal/bus/outbox"
	"m3o/internal/config"
	"m3o/internal/db"
	"m3o/internal/db/audit"
	"m3o/internal/db/idempotency"
	"m3o/internal/db/throttle"
	"m3o/internal/fault"
	"m3o/internal/id"
	"m3o/internal/identity"
	"m3o/internal/page"
	"m3o/internal/shop/users/usersapi"
	"m3o/pkg/events/proto/users"
)

// Deps is what the service needs.
type Deps struct {
	DB      *db.DB
	Bus     bus.Bus
	Outbox  *outbox.Outbox
	Config  config.Source
	Metrics prometheus.Registerer
	Log     *slog.Logger
	Now     func() time.Time // UTC
	Secret  []byte           // of the house; the key of tokens is derived from it
}

// Service is the users of the shop. It is safe for concurrent use.
type Service struct {
	settings
	config configuration

	db      *db.DB
	outbox  *outbox.Outbox
	trigger usersapi.MulticastTrigger
	log     *slog.Logger
	now     func() time.Time

	hasher identity.Hasher
	tokens signer
	known  accounts
}

// New makes the service.
func New(d Deps) (*Service, error) {
	settings, err := newSettings(d.Config, d.Metrics)
	if err != nil {
		return nil, fmt.Errorf("make users: %w", err)
	}
	values, err := newConfiguration(d.Config)
	if err != nil {
		return nil, fmt.Errorf("make users: %w", err)
	}
	tokens, err := newSigner(d.Secret, d.Now)
	if err != nil {
		return nil, fmt.Errorf("make users: %w", err)
	}
	return &Service{
		settings: settings, config: values,
		db: d.DB, outbox: d.Outbox, trigger: usersapi.NewMulticastTrigger(d.Bus), log: d.Log, now: d.Now,
		hasher: identity.NewHasher(), tokens: tokens,
	}, nil
}

// OnStartup makes the first admin of the shop, where the operator has named one and nobody has the address.
func (s *Service) OnStartup(ctx context.Context) error {
	email, password := s.config.adminEmail.Get(), s.config.adminPassword.Get()
	if (email == "") != (password == "") {
		return fmt.Errorf("set both M3O_SHOP_ADMIN_EMAIL and M3O_SHOP_ADMIN_PASSWORD, or neither")
	}
	if email == "" {
		return nil
	}
	if err := s.makeAdmin(auth.AsService(ctx, usersapi.Host), email, password); err != nil {
		return fmt.Errorf("make the admin of M3O_SHOP_ADMIN_EMAIL: %w", err)
	}
	return nil
}

func (s *Service) makeAdmin(ctx context.Context, email, password string) error {
	address, err := identity.ParseAddress(email)
	if err != nil {
		return err
	}
	r, err := byEmail(ctx, s.db, address)
	if fault.Is(err, fault.NotFound) {
		_, err = s.RegisterUser(ctx, address, "Admin", password, usersapi.TypeAdmin)
		if fault.Is(err, fault.Conflict) { // another process was faster
			r, err = byEmail(ctx, s.db, address)
		} else {
			return err
		}
	}
	if err == nil && r.Type != usersapi.TypeAdmin {
		s.log.WarnContext(ctx, "the user of M3O_SHOP_ADMIN_EMAIL was there before and is no admin of the shop", "user", r.ID)
	}
	return err
}

// GetUser is a user; fault.NotFound when there is none. An empty id is oneself. Who may not read another's, one's own or
// as an admin of the shop, is fault.Forbidden whether there is such a user or not.
func (s *Service) GetUser(ctx context.Context, id string) (user usersapi.User, err error) {
	if id, err = auth.ShopOwn(ctx, id); err != nil {
		return user, err
	}
	r, err := byID(ctx, s.db, id)
	return r.User, err
}

// GetUsers lists users, newest first, whose address or name contains search, whatever the case. Admins of the shop only.
func (s *Service) GetUsers(ctx context.Context, search string, limit int, cursor string) (found []usersapi.User, nextCursor string, err error) {
	if err := auth.ShopAdmin(ctx); err != nil {
		return nil, "", err
	}
	if limit, err = page.Limit(limit); err != nil {
		return nil, "", err
	}
	from, err := page.ParseOf("usr_", cursor)
	if err != nil {
		return nil, "", err
	}
	found, err = list(ctx, s.db, strings.TrimSpace(search), from, limit+1)
	if len(found) > limit {
		found = found[:limit]
		last := found[limit-1]
		nextCursor = page.Cursor{Time: db.Micro(last.CreatedAt), ID: last.ID}.String()
	}
	return found, nextCursor, err
}

// GetUsersByID reads many users, at most 1000, in no order; those that do not exist are left out. Admins of the shop may
// ask for all, others for themselves.
func (s *Service) GetUsersByID(ctx context.Context, ids []string) (found []usersapi.User, err error) {
	if len(ids) > page.Max {
		return nil, fault.BadField("ids", "are %d: ask for at most %d at once", len(ids), page.Max)
	}
	for _, id := range ids {
		if _, err := auth.ShopOwn(ctx, id); err != nil {
			return nil, err
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	return byIDs(ctx, s.db, ids)
}

// maxUsername is how many characters a name may have.
const maxUsername = 64

// RegisterUser makes a user. An address that has one is fault.Conflict; a bad address, an empty, endless or unprintable
// name and a password of less than 8 characters are fault.Invalid, naming the field. Type 1 is for who is an admin
// already, of the shop or the platform, unless shop.open_admin_registration is set. Others than these register no more
// often than shop.registrations_per_client: fault.Limited.
func (s *Service) RegisterUser(ctx context.Context, email string, username string, password string, userType int) (user usersapi.User, err error) {
	r := record{User: usersapi.User{ID: id.New("usr"), Type: userType}}
	if r.Email, err = identity.ParseAddress(email); err != nil {
		return user, err
	}
	if r.Username, err = parseUsername(username); err != nil {
		return user, err
	}
	if err := identity.CheckLength("password", password); err != nil {
		return user, err
	}
	if err := s.mayRegister(ctx, userType); err != nil {
		return user, err
	}
	if r.password, err = s.hasher.Hash(ctx, password); err != nil {
		return user, err
	}
	out, err := idempotency.Tx(ctx, s.db, func(tx *db.Tx) (out usersapi.RegisterUserOut, err error) {
		out.User, err = s.register(ctx, tx, r)
		return out, err
	})
	if err == nil {
		s.IncrementRegistrations(1)
	}
	return out.User, err
}

// mayRegister says whether the caller may make a user of that type now.
func (s *Service) mayRegister(ctx context.Context, userType int) error {
	if err := checkType(userType); err != nil {
		return err
	}
	notAdmin := auth.ShopAdmin(ctx)
	if userType == usersapi.TypeAdmin && notAdmin != nil && !s.config.openAdminRegistration.Get() {
		return notAdmin
	}
	client := auth.Client(ctx)
	if notAdmin == nil || client == "" {
		return nil
	}
	registrations := throttle.Allowance{ID: "users.register:" + auth.Network(client), Window: time.Minute, Count: s.config.registrationsPerClient.Get()}
	return throttle.Allowances{registrations}.Take(ctx, s.db, s.now)
}

func (s *Service) register(ctx context.Context, tx *db.Tx, r record) (user usersapi.User, err error) {
	now := s.now()
	r.CreatedAt = db.Time(db.Micro(now)) // as it will be read
	if err := insert(ctx, tx, r); err != nil {
		return user, err
	}
	if r.Type == usersapi.TypeAdmin && auth.ShopAdmin(ctx) == nil {
		if err := audit.Add(ctx, tx, now, "users.RegisterUser", r.ID, map[string]string{"type": "1"}); err != nil {
			return user, err
		}
	}
	event := &users.Event{Type: users.EventType_USER_REGISTERED, UserRegistered: &users.UserRegistered{User: &users.User{
		Id: r.ID, Username: r.Username, Email: r.Email, Type: int32(r.Type), CreatedAt: db.Micro(r.CreatedAt),
	}}}
	return r.User, s.outbox.Add(ctx, tx, usersapi.Host, users.Topic, r.ID, event)
}

// ChangeType makes a user an admin of the shop (1), or no longer (0), and revokes all tokens of the user before it
// answers. A user who is that already stays as it is. Nobody changes oneself: fault.Conflict, lest a shop loses its last
// admin. Admins of the shop only; it can be repeated.
func (s *Service) ChangeType(ctx context.Context, id string, userType int) (user usersapi.User, err error) {
	if err := auth.ShopAdmin(ctx); err != nil {
		return user, err
	}
	if err := checkType(userType); err != nil {
		return user, err
	}
	if caller, _ := auth.From(ctx); caller.ID == id {
		return user, fault.New(fault.Conflict, "nobody changes their own type: have another admin do it")
	}
	out, err := idempotency.Tx(ctx, s.db, func(tx *db.Tx) (out usersapi.ChangeTypeOut, err error) {
		out.User, err = s.changeType(ctx, tx, id, userType)
		return out, err
	})
	if err != nil {
		return user, err
	}
	return out.User, s.revoked(ctx, id, "")
}

func (s *Service) changeType(ctx context.Context, tx *db.Tx, id string, userType int) (user usersapi.User, err error) {
	changed, err := setType(ctx, tx, id, userType)
	if err != nil {
		return user, err
	}
	r, err := byID(ctx, tx, id)
	if err != nil || !changed {
		return r.User, err
	}
	return r.User, audit.Add(ctx, tx, s.now(), "users.ChangeType", id, map[string]string{"type": fmt.Sprint(userType)})
}

// Sweep deletes revocations of tokens that have expired, and throttles that are whole again.
func (s *Service) Sweep(ctx context.Context) (err error) {
	now := s.now()
	if err := sweep(ctx, s.db, now); err != nil {
		return err
	}
	return throttle.Sweep(ctx, s.db, now)
}

// parseUsername is a name as it is stored: without blanks around it.
func parseUsername(username string) (string, error) {
	username = strings.TrimSpace(username)
	switch {
	case username == "":
		return "", fault.BadField("username", "is required")
	case !utf8.ValidString(username) || strings.ContainsFunc(username, func(r rune) bool { return !unicode.IsPrint(r) }):
		return "", fault.BadField("username", "has a character that cannot be printed")
	case utf8.RuneCountInString(username) > maxUsername:
		return "", fault.BadField("username", "is too long: use at most %d characters", maxUsername)
	}
	return username, nil
}

func checkType(userType int) error {
	if userType != usersapi.TypeDefault && userType != usersapi.TypeAdmin {
		return fault.BadField("type", "%d is no type of user: it is 0 (default) or 1 (admin)", userType)
	}
	return nil
}
