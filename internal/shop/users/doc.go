// Package users owns the users of the shop: who they are, how they prove it, and the tokens by which they are known. They
// are people of the shop and nobody in the platform: its customers and admins are another list (package customers).
//
// It promises that
//   - an address, whatever its case, belongs to one user, and a user of type 1, an admin of the shop, is made only by one
//     of these, by an admin of the platform, at the start for M3O_SHOP_ADMIN_EMAIL, or where shop.open_admin_registration
//     is set;
//   - an unknown address cannot be told from a wrong password by Login, in words or in time;
//   - wrong passwords are bounded in the store: by address and client, ten times as loosely by address alone, and by
//     client alone;
//   - a token is refused everywhere from the moment the call is answered that revoked it: Logout its own, ChangePassword
//     and ChangeType all of the user;
//   - what Authenticate answers is never older than a second, also where the message that a token was revoked got lost.
//
// A token is a JWT (RFC 7519) of seven days, signed with HS256 by a key that is derived from the secret of the house. It
// names its user, its own id and the user's token version. Stored are revocations only; what a token's owner may do is
// read from the user, not from the token.
//
// Only app imports it; everybody else uses usersapi.
package users

//go:generate go run m3o/internal/codegen/generate .
