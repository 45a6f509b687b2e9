package grpc

import (
	"context"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"m3o/internal/shop/orders/ordersapi"
	shopv1 "m3o/pkg/shop/v1"
	"m3o/pkg/shop/v1/shopv1connect"
)

// orders is OrdersService over its contract.
type orders struct{ service ordersapi.Service }

var _ shopv1connect.OrdersServiceHandler = orders{}

func (o orders) GetOrder(ctx context.Context, r *connect.Request[shopv1.GetOrderRequest]) (*connect.Response[shopv1.GetOrderResponse], error) {
	found, err := o.service.GetOrder(ctx, r.Msg.GetId())
	return connect.NewResponse(&shopv1.GetOrderResponse{Order: orderOf(found)}), err
}

func (o orders) GetOrders(ctx context.Context, r *connect.Request[shopv1.GetOrdersRequest]) (*connect.Response[shopv1.GetOrdersResponse], error) {
	found, next, err := o.service.GetOrders(ctx, r.Msg.GetSearch(), int(r.Msg.GetLimit()), r.Msg.GetCursor())
	return connect.NewResponse(&shopv1.GetOrdersResponse{Orders: each(found, orderOf), NextCursor: next}), err
}

func (o orders) PlaceOrder(ctx context.Context, r *connect.Request[shopv1.PlaceOrderRequest]) (*connect.Response[shopv1.PlaceOrderResponse], error) {
	placed, err := o.service.PlaceOrder(ctx, each(r.Msg.GetOrderProducts(), lineOf), r.Msg.GetIdempotencyKey())
	return connect.NewResponse(&shopv1.PlaceOrderResponse{Order: orderOf(placed)}), err
}

func lineOf(l *shopv1.OrderLine) ordersapi.OrderLine {
	return ordersapi.OrderLine{ProductID: l.GetProductId(), Quantity: int(l.GetQuantity())}
}

func orderOf(o ordersapi.Order) *shopv1.Order {
	return &shopv1.Order{
		Id: o.ID, UserId: o.UserID, Status: o.Status, PriceTotal: int32(o.PriceTotal), Quantity: int32(o.Quantity),
		OrderProducts: each(o.Lines, orderProductOf), CreatedAt: timestamppb.New(o.CreatedAt),
	}
}

func orderProductOf(p ordersapi.OrderProduct) *shopv1.OrderProduct {
	return &shopv1.OrderProduct{ProductId: p.ProductID, Name: p.Name, Price: int32(p.Price), Quantity: int32(p.Quantity)}
}
