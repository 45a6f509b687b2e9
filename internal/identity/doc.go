// Package identity owns what a person is known by, an e-mail address, and proves it with, a password: which are good, in
// what form an address is compared, and how a password is kept. It promises that an address of nobody takes as long to
// refuse as a wrong password, and that hashing does not take more memory than it may.
//
// The services that people log in to import it; it imports only fault.
package identity
