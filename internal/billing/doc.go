// Package billing owns the tiers and who has which: how many calls are free, how
// fast one may call, what is capped, and what it costs a month.
//
// What it promises:
//   - The tiers are read once, at start; a mistake in them is an error that names
//     the tier and the member.
//   - A customer who never chose has the tier free, without a row. One whose tier
//     the operator has since taken out of the configuration has free as well.
//   - When a change of tier has been answered, everybody who remembers the old one
//     has forgotten it (OnTierChanged).
//   - A customer gets a paid tier only by payment or by an admin. Payments are not
//     set up here, so asking for one is fault.PaymentRequired.
//
// Only app imports it; others use billingapi.
package billing

//go:generate go run m3o/internal/codegen/generate .
