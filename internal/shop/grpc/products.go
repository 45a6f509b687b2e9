package grpc

import (
	"context"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"m3o/internal/shop/products/productsapi"
	shopv1 "m3o/pkg/shop/v1"
	"m3o/pkg/shop/v1/shopv1connect"
)

// products is ProductsService over its contract.
type products struct{ service productsapi.Service }

var _ shopv1connect.ProductsServiceHandler = products{}

func (p products) GetProduct(ctx context.Context, r *connect.Request[shopv1.GetProductRequest]) (*connect.Response[shopv1.GetProductResponse], error) {
	found, err := p.service.GetProduct(ctx, r.Msg.GetId())
	return connect.NewResponse(&shopv1.GetProductResponse{Product: productOf(found)}), err
}

func (p products) GetProducts(ctx context.Context, r *connect.Request[shopv1.GetProductsRequest]) (*connect.Response[shopv1.GetProductsResponse], error) {
	found, next, err := p.service.GetProducts(ctx, r.Msg.GetSearch(), int(r.Msg.GetLimit()), r.Msg.GetCursor())
	return connect.NewResponse(&shopv1.GetProductsResponse{Products: each(found, productOf), NextCursor: next}), err
}

func (p products) AddProduct(ctx context.Context, r *connect.Request[shopv1.AddProductRequest]) (*connect.Response[shopv1.AddProductResponse], error) {
	added, err := p.service.AddProduct(ctx, r.Msg.GetName(), r.Msg.GetDescription(), int(r.Msg.GetPrice()), int(r.Msg.GetStock()))
	return connect.NewResponse(&shopv1.AddProductResponse{Product: productOf(added)}), err
}

func (p products) UpdateInventory(ctx context.Context, r *connect.Request[shopv1.UpdateInventoryRequest]) (*connect.Response[shopv1.UpdateInventoryResponse], error) {
	success, err := p.service.UpdateInventory(ctx, r.Msg.GetId(), int(r.Msg.GetType()), int(r.Msg.GetNumber()))
	return connect.NewResponse(&shopv1.UpdateInventoryResponse{Success: success}), err
}

func productOf(p productsapi.Product) *shopv1.Product {
	return &shopv1.Product{
		Id: p.ID, Name: p.Name, Description: p.Description, Price: int32(p.Price), Stock: int32(p.Stock), CreatedAt: timestamppb.New(p.CreatedAt),
	}
}
