// Protogen generates the Go code of .proto files without protoc: it compiles them
// itself and hands the result to protoc-gen-go and, where a file has services, to
// protoc-gen-connect-go, at the versions of the tools module. Run it from the
// project's root:
//
//	go run -C tools ./protogen -root .. pkg/events/proto/*/events.proto
//
// The same input gives the same output, byte by byte.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/protoutil"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

func main() {
	root := flag.String("root", ".", "the folder that the files' paths start from; output goes beside the files")
	flag.Parse()
	if err := run(context.Background(), *root, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "protogen:", err)
		os.Exit(1)
	}
}

// run generates the code of the files, whose names are slash paths below root or
// patterns of such.
func run(ctx context.Context, root string, patterns []string) error {
	names, err := expand(root, patterns)
	if err != nil {
		return err
	}
	request, err := compile(ctx, root, names)
	if err != nil {
		return err
	}
	for _, plugin := range plugins(request) {
		response, err := ask(ctx, plugin, request)
		if err != nil {
			return err
		}
		if err := write(root, response); err != nil {
			return err
		}
	}
	return nil
}

// plugins are those that have something to say to the files: connect makes a package
// for each folder with services, and none for the others.
func plugins(request *pluginpb.CodeGeneratorRequest) []string {
	all := []string{"protoc-gen-go"}
	for _, file := range request.GetProtoFile() {
		if len(file.GetService()) > 0 && slices.Contains(request.GetFileToGenerate(), file.GetName()) {
			return append(all, "protoc-gen-connect-go")
		}
	}
	return all
}

// write writes what a plugin has made.
func write(root string, response *pluginpb.CodeGeneratorResponse) error {
	for _, file := range response.GetFile() {
		path := filepath.Join(root, filepath.FromSlash(file.GetName()))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("write generated code: %w", err)
		}
		if err := os.WriteFile(path, []byte(file.GetContent()), 0o644); err != nil {
			return fmt.Errorf("write generated code: %w", err)
		}
	}
	return nil
}

// expand lists the files that match; one that matches nothing is an error.
func expand(root string, patterns []string) ([]string, error) {
	var names []string
	for _, pattern := range patterns {
		paths, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern)))
		if err != nil || len(paths) == 0 {
			return nil, fmt.Errorf("no file %s below %s (%w)", pattern, root, err)
		}
		for _, path := range paths {
			name, err := filepath.Rel(root, path)
			if err != nil {
				return nil, err
			}
			names = append(names, filepath.ToSlash(name))
		}
	}
	return names, nil
}

// compile makes what protoc would send to its plugins.
func compile(ctx context.Context, root string, names []string) (*pluginpb.CodeGeneratorRequest, error) {
	compiler := protocompile.Compiler{
		Resolver:       protocompile.WithStandardImports(&protocompile.SourceResolver{ImportPaths: []string{root}}),
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	files, err := compiler.Compile(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("compile: %w", err)
	}
	request := &pluginpb.CodeGeneratorRequest{FileToGenerate: names, Parameter: proto.String("paths=source_relative")}
	for _, file := range files {
		for i := range file.Imports().Len() {
			imported := protodesc.ToFileDescriptorProto(file.Imports().Get(i).FileDescriptor)
			request.ProtoFile = append(request.ProtoFile, imported)
		}
		request.ProtoFile = append(request.ProtoFile, protoutil.ProtoFromFileDescriptor(file))
	}
	request.ProtoFile = distinct(request.ProtoFile)
	return request, nil
}

// distinct keeps the first of each file: an import comes before who imports it.
func distinct(files []*descriptorpb.FileDescriptorProto) []*descriptorpb.FileDescriptorProto {
	seen := map[string]bool{}
	var kept []*descriptorpb.FileDescriptorProto
	for _, file := range files {
		if !seen[file.GetName()] {
			seen[file.GetName()] = true
			kept = append(kept, file)
		}
	}
	return kept
}

// ask runs a plugin, which speaks over its standard input and output.
func ask(ctx context.Context, plugin string, request *pluginpb.CodeGeneratorRequest) (*pluginpb.CodeGeneratorResponse, error) {
	in, err := proto.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("encode the request: %w", err)
	}
	command := exec.CommandContext(ctx, "go", "tool", plugin)
	var problems bytes.Buffer
	command.Stdin, command.Stderr = bytes.NewReader(in), &problems
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("run %s: %w: %s", plugin, err, strings.TrimSpace(problems.String()))
	}
	response := &pluginpb.CodeGeneratorResponse{}
	if err := proto.Unmarshal(out, response); err != nil {
		return nil, fmt.Errorf("decode the answer of %s: %w", plugin, err)
	}
	if response.Error != nil {
		return nil, fmt.Errorf("%s: %s", plugin, response.GetError())
	}
	return response, nil
}
