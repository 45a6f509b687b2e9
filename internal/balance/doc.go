// Package balance owns the ledger of prepaid money and the leases by which
// gateways spend it.
//
// The ledger is double entry and append-only. An account belongs to a customer
// (available, leased, receivable) or to the house (cash, revenue, promo,
// breakage); a transfer moves money between accounts and its entries sum to zero;
// an account's balance is the sum of its entries and is kept in the same
// transaction.
//
// Promises:
//
//   - The sum of all accounts is zero, always.
//   - A transfer's id is its maker's: applied at most once, and the same id with
//     other content is a loud error.
//   - available and leased never go below zero, whoever races. receivable is what
//     a customer owes for served calls that nothing was left to pay: zero or below,
//     and paid off first by the next credit.
//   - A lease ends exactly once: what usage says was charged on it is revenue, the
//     rest is available again. Neither a gateway that dies nor one that comes back
//     can overspend or swallow money.
//   - Who reads a balance sees every call that has been answered.
//
// Only app imports balance; everybody else its balanceapi.
package balance

//go:generate go run m3o/internal/codegen/generate .
