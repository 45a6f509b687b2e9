// Package publicapi owns the catalogue: which APIs are on sale, what they cost,
// what they look like, and where they are served.
//
// What it promises:
//   - Only what has passed every check is on sale: a valid OpenAPI document, prices,
//     quotas and examples that name its endpoints, a target that can be called.
//   - Every change has a version, bumped in the change's own transaction. When a
//     change has been answered, whoever holds a snapshot has taken a new one.
//   - The compiled-in services are declared at each start. What an admin has
//     changed or removed stays as the admin left it.
//   - Reads come from memory; the version is asked of the store each time, so that a
//     change made by another process is seen at once.
//   - A credential of a target is sealed in the store, and nobody but the gateway is
//     told it. An API whose credentials cannot be opened is marked as broken, so that it
//     is not called without them.
//
// At an HTTP server each operation of the document is an endpoint, whatever its method
// (but TRACE), called by method and path as /v1/{service}{path}. It is named by its
// x-m3o-endpoint, else its operationId ("Pets.List" of the API pets as it is,
// "list-pets" as Pets.ListPets), else by method and path (Pets.GetPetsPetId). An
// operation of M3O's form, POST /{service}/{endpoint}, is called by its name alone.
//
// At a service on the bus an endpoint is a path without parameters: its POST, else the
// first of GET, PUT, PATCH and DELETE that there is. Its name is the operation's
// x-m3o-endpoint, else its operationId when that looks like "Helloworld.Call", else the
// API's name and the last segment of the path.
//
// Case and dashes do not matter when names are compared, and within an API no two
// endpoints have the same name after the dot, since that is what callers write.
//
// Only app imports it; others use publicapiapi.
package publicapi

//go:generate go run m3o/internal/codegen/generate .
