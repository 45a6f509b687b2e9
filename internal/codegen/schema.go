package codegen

import (
	"go/ast"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"

	"m3o/internal/codegen/spec"
)

// schemas makes JSON Schemas of Go types, by reading their declarations. Each named type becomes a
// component, called by its package's noun and its name.
type schemas struct {
	module     *goModule
	components object
}

// of is the schema of an argument's type. find knows the complex types of the contract.
func (s *schemas) of(t spec.Type, find func(string) *goType) object {
	switch prefix := t.Prefix; {
	case strings.HasPrefix(prefix, "*"):
		return s.of(spec.Type{Prefix: prefix[1:], Base: t.Base}, find)
	case prefix == "[]" && (t.Base == "byte" || t.Base == "uint8"):
		return object{"type": "string", "contentEncoding": "base64"}
	case strings.HasPrefix(prefix, "[]"):
		return object{"type": "array", "items": s.of(spec.Type{Prefix: prefix[2:], Base: t.Base}, find)}
	case strings.HasPrefix(prefix, "map[string]"):
		rest := strings.TrimPrefix(prefix, "map[string]")
		return object{"type": "object", "additionalProperties": s.of(spec.Type{Prefix: rest, Base: t.Base}, find)}
	}
	if found := find(t.Base); found != nil {
		return s.named(found)
	}
	return primitive(t.Base)
}

func primitive(base string) object {
	switch {
	case base == "string":
		return object{"type": "string"}
	case base == "bool":
		return object{"type": "boolean"}
	case base == "time.Time":
		return object{"type": "string", "format": "date-time"}
	case base == "time.Duration":
		return object{"type": "integer", "format": "int64", "description": "Nanoseconds."}
	case base == "int64" || base == "uint64":
		return object{"type": "integer", "format": "int64"}
	case spec.IsInt(base), base == "byte", base == "rune":
		return object{"type": "integer"}
	case spec.IsFloat(base):
		return object{"type": "number"}
	}
	return object{}
}

// named is a reference to the component of a declared type, which is made on the way.
func (s *schemas) named(t *goType) object {
	key := strings.TrimSuffix(t.pkg.name, "api") + "." + t.spec.Name.Name
	ref := object{"$ref": "#/components/schemas/" + key}
	if _, done := s.components[key]; done {
		return ref
	}
	s.components[key] = object{} // a type may contain itself
	schema := s.expr(t.spec.Type, t)
	if t.doc != "" {
		schema["description"] = oneLine(t.doc)
	}
	s.components[key] = schema
	return ref
}

// expr is the schema of a type expression in the file of t.
func (s *schemas) expr(e ast.Expr, t *goType) object {
	switch e := e.(type) {
	case *ast.StarExpr:
		return s.expr(e.X, t)
	case *ast.ParenExpr:
		return s.expr(e.X, t)
	case *ast.ArrayType:
		if id, ok := e.Elt.(*ast.Ident); ok && (id.Name == "byte" || id.Name == "uint8") && e.Len == nil {
			return object{"type": "string", "contentEncoding": "base64"}
		}
		return object{"type": "array", "items": s.expr(e.Elt, t)}
	case *ast.MapType:
		return object{"type": "object", "additionalProperties": s.expr(e.Value, t)}
	case *ast.StructType:
		return s.structure(e, t)
	case *ast.Ident:
		if found := s.lookup(t, "", e.Name); found != nil {
			return s.named(found)
		}
		return primitive(e.Name)
	case *ast.SelectorExpr:
		if x, ok := e.X.(*ast.Ident); ok {
			if found := s.lookup(t, x.Name, e.Sel.Name); found != nil {
				return s.named(found)
			}
			return primitive(x.Name + "." + e.Sel.Name)
		}
	}
	return object{}
}

// lookup finds a declared type of t's package, of one of its imports in the module, or behind an
// alias of imports_gen.go.
func (s *schemas) lookup(t *goType, pkg, name string) *goType {
	if pkg == "" {
		if found := t.pkg.types[name]; found != nil {
			return found
		}
		return s.generatedAlias(t.pkg, name)
	}
	for _, i := range t.file.ast.Imports {
		path := strings.Trim(i.Path.Value, `"`)
		if filepath.Base(path) != pkg && (i.Name == nil || i.Name.Name != pkg) {
			continue
		}
		if dir, ok := s.module.dirOf(path); ok {
			if p, err := s.module.load(dir); err == nil {
				return p.types[name]
			}
		}
	}
	return nil
}

func (s *schemas) generatedAlias(p *goPackage, name string) *goType {
	for _, f := range p.files {
		if !f.generated || filepath.Base(f.path) != "imports_gen.go" {
			continue
		}
		for _, d := range f.ast.Decls {
			group, ok := d.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, sp := range group.Specs {
				if a, ok := sp.(*ast.TypeSpec); ok && a.Name.Name == name {
					if sel, ok := a.Type.(*ast.SelectorExpr); ok {
						return s.lookup(&goType{pkg: p, file: f, spec: a}, sel.X.(*ast.Ident).Name, sel.Sel.Name)
					}
				}
			}
		}
	}
	return nil
}

func (s *schemas) structure(e *ast.StructType, t *goType) object {
	properties, required := object{}, []string{}
	s.fields(e, t, properties, &required, 0)
	schema := object{"type": "object", "properties": properties}
	if len(required) > 0 {
		schema["required"] = required
	}
	return schema
}

// fields adds the members that encoding/json writes for a struct.
func (s *schemas) fields(e *ast.StructType, t *goType, properties object, required *[]string, depth int) {
	for _, f := range e.Fields.List {
		var tag reflect.StructTag
		if f.Tag != nil {
			if text, err := strconv.Unquote(f.Tag.Value); err == nil {
				tag = reflect.StructTag(text)
			}
		}
		name, options, _ := strings.Cut(tag.Get("json"), ",")
		if name == "-" && options == "" {
			continue
		}
		if len(f.Names) == 0 && name == "" {
			s.embedded(f, t, properties, required, depth)
			continue
		}
		for _, id := range f.Names {
			if !id.IsExported() {
				continue
			}
			member := name
			if member == "" {
				member = id.Name
			}
			properties[member] = s.member(f, t, options)
			if !strings.Contains(options, "omit") {
				*required = append(*required, member)
			}
		}
	}
}

func (s *schemas) member(f *ast.Field, t *goType, options string) object {
	schema := s.expr(f.Type, t)
	if strings.Contains(options, "string") {
		schema = object{"type": "string", "format": "int64"}
	}
	doc := f.Doc.Text()
	if doc == "" {
		doc = f.Comment.Text()
	}
	if doc = oneLine(doc); doc != "" {
		schema["description"] = doc // beside a $ref this is allowed since OpenAPI 3.1
	}
	return schema
}

func (s *schemas) embedded(f *ast.Field, t *goType, properties object, required *[]string, depth int) {
	e := f.Type
	if star, ok := e.(*ast.StarExpr); ok {
		e = star.X
	}
	var found *goType
	switch e := e.(type) {
	case *ast.Ident:
		found = s.lookup(t, "", e.Name)
	case *ast.SelectorExpr:
		if x, ok := e.X.(*ast.Ident); ok {
			found = s.lookup(t, x.Name, e.Sel.Name)
		}
	}
	if found == nil || depth > 8 {
		return
	}
	if inner, ok := found.spec.Type.(*ast.StructType); ok {
		s.fields(inner, found, properties, required, depth+1)
	}
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
