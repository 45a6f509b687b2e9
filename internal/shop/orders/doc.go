// Package orders owns the orders of the shop. It promises that orders never lie:
//   - an order that was answered as placed is there for good, its products are out of stock before the answer, and its
//     fact ORDER_PLACED is delivered;
//   - an order that is not placed holds nothing, for longer than ReservationLimit and a few seconds;
//   - that holds after a crash of any process at any point, when they run again.
//
// # States
//
// An order takes two commits, which may be in two processes and two databases:
//
//  1. products.Reserve takes the products out of stock under the order's id: the order is pending. There is no row of it
//     here, and no call shows it.
//  2. The row of the order is inserted, with its fact in the same transaction. Who inserts it first decides for good:
//     PlaceOrder as placed, or Recover as rejected.
//
// Then what follows from the row is done, now or after a crash: a placed order's fact has products sell what it holds
// (Commit), a rejected one's is put back into stock (Release, which also refuses a Reserve that comes later).
//
//	         PlaceOrder                 ORDER_PLACED or Recover
//	pending ────────────► placed   ─────────────────────────────► its products are sold
//	   │      Recover                          Recover
//	   └────────────────► rejected ─────────────────────────────► its products are in stock again
//
// Recover runs every few seconds on one replica. It looks at reservations that products has had open for longer than
// ReservationLimit, whoever left them, and so needs no pass of its own at a start. A call that is only slow finds its order
// rejected when it wants to insert it, and answers Unavailable: nothing was ordered.
//
// # Repeating a call
//
// With an idempotency key the id follows from the user, the key and the number of the attempt, so that repetitions, also
// at the same time and in different processes, mean the same order. An attempt that was rejected is over, and the key
// goes on with the next one. Keys do not expire.
//
// # What it knows of others
//
// An order has the names and prices of its products from the reservation, so reading it needs no call. Users
// (USER_REGISTERED) and products (PRODUCT_CREATED, INVENTORY_UPDATE) are kept as far as they are heard of, the newest
// version of each: a search finds orders by them, also by a product that is not sold any more.
//
// Only app imports it; everybody else uses ordersapi.
package orders

//go:generate go run m3o/internal/codegen/generate .
