package proto_test

import (
	"maps"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"m3o/pkg/events/proto/customers"
	"m3o/pkg/events/proto/orders"
	"m3o/pkg/events/proto/products"
	"m3o/pkg/events/proto/projects"
	"m3o/pkg/events/proto/publicapi"
	"m3o/pkg/events/proto/requests"
	"m3o/pkg/events/proto/stripe"
	"m3o/pkg/events/proto/users"
)

// The numbers that outside consumers know.
func TestTypesKeepTheirNumbers(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		topic string
		event proto.Message
		want  map[string]int
	}{
		{customers.Topic, &customers.Event{}, map[string]int{
			"Unknown": 0, "Created": 1, "Updated": 2, "Deleted": 3, "Verified": 4, "Banned": 5, "Unbanned": 6, "Signup": 7,
			"GenerateKey": 8, "DeleteKey": 9, "AddPaymentMethod": 11, "DeletePaymentMethod": 12, "PasswordReset": 13,
			"Login": 14, "Logout": 15, "BlockKey": 16, "UnblockKey": 17, "BalanceIncrement": 18, "BalanceZero": 19,
			"BalanceDecrement": 20, "TokenRefresh": 21, "SubscriptionChanged": 22,
		}},
		{requests.Topic, &requests.Event{}, map[string]int{"Unknown": 0, "Request": 1}},
		{stripe.Topic, &stripe.Event{}, map[string]int{"Unknown": 0, "ChargeSucceeded": 1, "ChargeFailed": 2}},
		{publicapi.Topic, &publicapi.Event{}, map[string]int{"Unknown": 0, "APIEnable": 1, "APIDisable": 2, "APIUpdate": 3}},
		{users.Topic, &users.Event{}, map[string]int{"UNKNOWN": 0, "USER_REGISTERED": 1}},
		{products.Topic, &products.Event{}, map[string]int{"UNKNOWN": 0, "PRODUCT_CREATED": 1, "INVENTORY_UPDATE": 2}},
		{orders.Topic, &orders.Event{}, map[string]int{"UNKNOWN": 0, "ORDER_PLACED": 1}},
		{projects.Topic, &projects.Event{}, map[string]int{"Unknown": 0, "ProjectCreated": 1, "ProjectDeleted": 2}},
	} {
		t.Run(tc.topic, func(t *testing.T) {
			t.Parallel()
			values := tc.event.ProtoReflect().Descriptor().Fields().ByName("type").Enum().Values()
			got := map[string]int{}
			for i := range values.Len() {
				got[strings.TrimPrefix(string(values.Get(i).Name()), "EventType")] = int(values.Get(i).Number())
			}
			if !maps.Equal(got, tc.want) {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

func TestTypeTenStaysReserved(t *testing.T) {
	t.Parallel()
	if !customers.EventType(0).Descriptor().ReservedRanges().Has(protoreflect.EnumNumber(10)) {
		t.Error("number 10 can be given away")
	}
}

// An event that a newer producer wrote, in M3O's field names.
func TestEventsOfANewerProducerAreReadable(t *testing.T) {
	t.Parallel()
	text := `{"type":9999,"customer":{"id":"cus_1","created":1700000000,"meta":{"a":"b"}},"caller_id":"x","brand_new":{"y":1}}`
	var e customers.Event
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal([]byte(text), &e); err != nil {
		t.Fatal(err)
	}
	if e.GetType() != 9999 || e.GetCustomer().GetCreated() != 1_700_000_000 || e.GetCallerId() != "x" {
		t.Errorf("got %v", &e)
	}
}
