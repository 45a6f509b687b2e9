package graph

import (
	"context"

	graphql "github.com/graph-gophers/graphql-go"
)

// mutationFields are the fields of Mutation that are called directly, each with the type of its input: those that clients
// send by the thousand.
func mutationFields() map[string]mutationField {
	return map[string]mutationField{
		"placeOrder": {"PlaceOrder", fieldCalling(func(ctx context.Context, r *resolver, a arguments) (*order, error) {
			return r.PlaceOrder(ctx, struct{ Input placeOrderInput }{a.placeOrderInput()})
		})},
	}
}

type mutationField struct {
	input string
	rootField
}

// fits says whether what an operation writes for an input is as its type has it, so that it need not be coerced: no number
// for an ID, no single value for a list, and no variable that may be null where nothing may be. What variables are given
// is held against their types for each request.
func (in inputs) fits(o *operation, value any, t typeRef) bool {
	switch value := value.(type) {
	case nil:
		return !t.required
	case variable:
		declared := o.declared[string(value)]
		return (declared.required || !t.required) && (declared.list != nil) == (t.list != nil)
	case []any:
		for _, item := range value {
			if t.list == nil || !in.fits(o, item, *t.list) {
				return false
			}
		}
		return t.list != nil
	case map[string]any:
		return t.list == nil && in.fitsObject(o, value, t.name)
	case unread:
		return false
	}
	return t.list == nil && misfitOf(value, t.name) == ""
}

func (in inputs) fitsObject(o *operation, object map[string]any, name string) bool {
	for field, t := range in[name] {
		if !in.fits(o, object[field], t) {
			return false
		}
	}
	return true
}

// filledIn is a value with the variables' values in their places.
func filledIn(value any, variables map[string]any) any {
	switch value := value.(type) {
	case variable:
		return variables[string(value)]
	case []any:
		return each(value, func(item any) any { return filledIn(item, variables) })
	case map[string]any:
		object := make(map[string]any, len(value))
		for name, of := range value {
			object[name] = filledIn(of, variables)
		}
		return object
	}
	return value
}

// placeOrderInput is the input of placeOrder.
func (a arguments) placeOrderInput() (in placeOrderInput) {
	input, _ := a["input"].(map[string]any)
	in.IdempotencyKey = arguments(input).text("idempotency_key")
	lines, several := input["order_products"].([]any)
	if !several { // a variable's single value is as good as a list of one
		lines = []any{input["order_products"]}
	}
	in.OrderProducts = each(lines, func(line any) placeOrderProduct {
		product, _ := line.(map[string]any)
		id, _ := product["product_id"].(string)
		quantity, _ := product["quantity"].(float64)
		return placeOrderProduct{graphql.ID(id), int32(quantity)}
	})
	return in
}
