package grpc

import (
	"errors"
	"fmt"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/anypb"

	"m3o/internal/shop/grpc/wire"
)

// The package that the details of errors are sent under, and the one that they are declared in (see wire/details.proto).
const (
	knownPackage = "google.rpc"
	ourPackage   = "m3o.shop.wire"
)

// attach adds a detail to an error, under the name by which every client knows it.
func attach(e *connect.Error, detail proto.Message) {
	value, err := proto.Marshal(detail)
	if err != nil { // a text that is not UTF-8: then the error goes without
		return
	}
	name := "type.googleapis.com/" + knownPackage + "." + string(detail.ProtoReflect().Descriptor().Name())
	if d, err := connect.NewErrorDetail(&anypb.Any{TypeUrl: name, Value: value}); err == nil {
		e.AddDetail(d)
	}
}

// descriptors are what reflection tells of: all that is linked, and the details of errors under the name that they are sent
// under, so that a client that does not know them can ask.
type descriptors struct{ details *protoregistry.Files }

var _ protodesc.Resolver = descriptors{}

func newDescriptors() (descriptors, error) {
	file := protodesc.ToFileDescriptorProto(wire.File_internal_shop_grpc_wire_details_proto)
	file.Name, file.Package = proto.String("google/rpc/error_details.proto"), proto.String(knownPackage)
	rename(file.GetMessageType())
	described, err := protodesc.NewFile(file, protoregistry.GlobalFiles)
	if err != nil {
		return descriptors{}, fmt.Errorf("describe the details of errors: %w", err)
	}
	details := new(protoregistry.Files)
	return descriptors{details}, details.RegisterFile(described)
}

// rename takes the messages, with those within them, and the types of their fields into the known package.
func rename(messages []*descriptorpb.DescriptorProto) {
	for _, m := range messages {
		for _, f := range m.GetField() {
			if rest, ours := strings.CutPrefix(f.GetTypeName(), "."+ourPackage+"."); ours {
				f.TypeName = proto.String("." + knownPackage + "." + rest)
			}
		}
		rename(m.GetNestedType())
	}
}

// FindFileByPath finds a file.
func (d descriptors) FindFileByPath(path string) (protoreflect.FileDescriptor, error) {
	found, err := protoregistry.GlobalFiles.FindFileByPath(path)
	if errors.Is(err, protoregistry.NotFound) {
		return d.details.FindFileByPath(path)
	}
	return found, err
}

// FindDescriptorByName finds a message, a service or whatever has a name.
func (d descriptors) FindDescriptorByName(name protoreflect.FullName) (protoreflect.Descriptor, error) {
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(name)
	if errors.Is(err, protoregistry.NotFound) {
		return d.details.FindDescriptorByName(name)
	}
	return found, err
}
