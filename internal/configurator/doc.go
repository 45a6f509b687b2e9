// Package configurator owns the configuration values that are set while everything
// runs. They win over the config file and the environment.
//
// What it promises:
//   - Only what the property's rule allows can be set, and no secret: those belong into
//     the config file or the environment.
//   - A value is set for a service, for a domain of them, or under "all"; the most
//     specific one wins.
//   - When a change has been answered, everybody who runs services was told
//     (OnConfigChanged). If somebody could not be, the answer is fault.Unavailable: the
//     change stands, and may be repeated. Whoever was away hears of it within 20 minutes.
//   - Services start and run without it: a Source goes on with what it knows.
//
// Only app imports it; others use configuratorapi.
package configurator

//go:generate go run m3o/internal/codegen/generate .
