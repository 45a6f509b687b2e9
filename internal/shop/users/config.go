package users

import "m3o/internal/config"

// settingsHost is the name under which an operator sets what follows, in the file (shop: {open_admin_registration: true})
// as in the environment (M3O_SHOP_OPEN_ADMIN_REGISTRATION). It is the shop's and not the service's: whoever runs a shop
// need not know that users are a service of their own. The generator takes the service's host, so this is by hand.
const settingsHost = "shop"

// configuration is what an operator may set.
type configuration struct {
	set *config.Set

	openAdminRegistration  *config.Value[bool]   // whether everybody may register as an admin of the shop
	adminEmail             *config.Value[string] // of the first admin of the shop; empty: none is made
	adminPassword          *config.Value[string]
	loginsPerAddress       *config.Value[int] // failed logins of an address within five minutes from one client, and ten times that from all together
	loginsPerClient        *config.Value[int] // failed logins of a client within five minutes, whatever the address
	registrationsPerClient *config.Value[int] // registrations of a client within a minute, unless it is an admin
}

func newConfiguration(source config.Source) (configuration, error) {
	set := config.NewSet(settingsHost, source)
	c := configuration{
		set:                    set,
		openAdminRegistration:  config.Add[bool](set, config.Property{Name: "OpenAdminRegistration", Default: "false", Rule: "bool"}),
		adminEmail:             config.Add[string](set, config.Property{Name: "AdminEmail"}),
		adminPassword:          config.Add[string](set, config.Property{Name: "AdminPassword", Secret: true}),
		loginsPerAddress:       config.Add[int](set, config.Property{Name: "LoginsPerAddress", Default: "10", Rule: "int [1,)"}),
		loginsPerClient:        config.Add[int](set, config.Property{Name: "LoginsPerClient", Default: "100", Rule: "int [1,)"}),
		registrationsPerClient: config.Add[int](set, config.Property{Name: "RegistrationsPerClient", Default: "300", Rule: "int [1,)"}),
	}
	return c, set.Err()
}

// Configured is the configuration. Every value is read where it is used, so nobody is called when one changes.
func (s *Service) Configured() (*config.Set, config.Callbacks) { return s.config.set, nil }
