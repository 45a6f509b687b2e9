// Package products owns what the shop sells, how much of it there is, and what orders hold of it.
//
// It promises that
//   - every unit that ever came is somewhere: initial + added - subtracted = stock + reserved + sold, for each product and
//     after each transaction; CHECKs of the table hold it, and that none of them is below zero, whoever races;
//   - of two who want the last one, one gets it; an order gets all that it wants or nothing;
//   - what an order was given once is neither given again nor to another, however often and late its calls come;
//   - a deleted product is not shown or sold any more, and what orders hold of it goes on.
//
// # States
//
// A reservation is one row, whose key is the order's id:
//
//	(none) ─Reserve─► reserved ─Commit──► sold      for good; a repeated Reserve or Commit changes nothing
//	   │                  └─────Release─► released  for good; a later Reserve or Commit is refused
//	   └────────────────────────Release─► released  the tombstone of an order that never held anything
//
// The price of a line is that at its Reserve. A row stays for good, since its order may be repeated at any time. What
// decides whether a reservation is sold or released is the order's row (package orders): Commit follows from the fact
// ORDER_PLACED, or from the recovery of orders, which also releases.
//
// # Sets
//
// Reserve, Release and Commit that wait at the same time are done as one set (package gather): one transaction reads the
// products and reservations they are about, book decides them in memory in the order in which they came, and what has
// become of them is written, each product once; on Postgres that is two round trips, however large the set. A refused one changes nothing for the others. What was read may have
// moved under another process: every statement that writes says what it relies on, and a set that missed a row is decided
// anew. Rows are taken in the order of their keys, reservations before products.
//
// # Lists
//
// Nothing of a product changes but its stock and whether it is sold. A list asks the store for these, and has the rest
// from the catalogue, which remembers it. So it is never older than the store, whichever process has changed that, and
// nothing need be told to forget. Orders read the store only.
//
// # Facts
//
// PRODUCT_CREATED, and INVENTORY_UPDATE with the stock and its version: at once when an admin changes the inventory, once
// a second for all that orders have taken or given back. Whoever keeps a stock keeps that of the greatest version.
// USER_REGISTERED is counted; nothing here depends on who is known.
//
// Only app imports it; everybody else uses productsapi.
package products

//go:generate go run m3o/internal/codegen/generate .
