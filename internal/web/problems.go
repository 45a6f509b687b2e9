package web

import "m3o/internal/fault"

// explanation says what a code means and how to mend it.
type explanation struct {
	Code   fault.Code
	Status int
	Means  string
	Mend   string
}

// explanations is the page that the type of every problem points to.
func explanations() []explanation {
	list := []explanation{
		{Code: fault.Invalid, Means: "The request cannot be understood, or a field of it is not allowed.", Mend: "Read detail, and errors where it is given: it names the field. The reference shows what each call takes."},
		{Code: fault.Unauthenticated, Means: "There is no credential, or it is not known, revoked or expired.", Mend: "Send an API key (calls under /v1) or the access token of a login as Authorization: Bearer. A login is continued with its refresh token."},
		{Code: fault.PaymentRequired, Means: "The prepaid balance does not cover the price of the call.", Mend: "Add credit, or wait until the free calls of the next month."},
		{Code: fault.Forbidden, Means: "We know who is calling, and that account or key may not do this.", Mend: "Use a key whose scopes hold the API, or ask an admin. A blocked key says why it is blocked."},
		{Code: fault.NotFound, Means: "There is no such page, endpoint or object, or it is not yours.", Mend: "Check the name. /explore in the reference lists what is on sale."},
		{Code: fault.BadMethod, Means: "The path is right and the HTTP method is not.", Mend: "Use a method that the Allow header lists. POST with a JSON body is nearly always one."},
		{Code: fault.Expired, Means: "The time that the call was given was over before there was an answer. It may have been executed.", Mend: "Repeat it with the same Idempotency-Key and give it more time."},
		{Code: fault.Conflict, Means: "The request meets another one, or a state that it does not fit.", Mend: "Read the object again and decide. A call with the same Idempotency-Key is still running: wait and repeat it."},
		{Code: fault.Gone, Means: "It was here and has been deleted for good.", Mend: "Stop asking for it."},
		{Code: fault.TooLarge, Means: "The body is larger than this server takes.", Mend: "Send less, or in several calls. The operator sets the limit."},
		{Code: fault.Unprocessable, Means: "The request is well formed and contradicts something said before, such as an Idempotency-Key that was used with another body.", Mend: "Use a new key for a new request."},
		{Code: fault.Limited, Means: "Too many requests in too short a time.", Mend: "Wait as long as Retry-After says. RateLimit and RateLimit-Policy tell how much is left."},
		{Code: fault.Internal, Means: "Something broke here. It is logged.", Mend: "Try again. If it stays, tell the operator the instance: it is the request's id in the log."},
		{Code: fault.Unimplemented, Means: "The server knows the call and cannot do it yet.", Mend: "Use a newer server."},
		{Code: fault.BadGateway, Means: "The API behind the gateway cannot be reached or gave no proper answer.", Mend: "Try again later. You were not charged."},
		{Code: fault.Unavailable, Means: "Something that this call needs is down. It may have been executed.", Mend: "Repeat it after Retry-After with the same Idempotency-Key, which makes the repetition safe."},
		{Code: fault.Timeout, Means: "No answer came in time. The call may have been executed.", Mend: "Repeat it with the same Idempotency-Key. You were not charged."},
		{Code: fault.Loop, Means: "Services call each other in a circle.", Mend: "Tell the operator the instance: it is the request's id in the log."},
	}
	for i := range list {
		list[i].Status = list[i].Code.Status()
	}
	return list
}
