package graph

import (
	"fmt"
	"math"
	"strconv"

	"github.com/graph-gophers/graphql-go/ast"
	qerrors "github.com/graph-gophers/graphql-go/errors"
)

// typeRef is the type of a variable or of a field of an input.
type typeRef struct {
	name     string   // empty: it is a list
	list     *typeRef // of these
	required bool     // it must not be null
}

// inputs are the fields of the schema's input types.
type inputs map[string]map[string]typeRef

func newInputs(schema *ast.Schema) inputs {
	all := inputs{}
	for name, t := range schema.Types {
		object, ok := t.(*ast.InputObject)
		if !ok {
			continue
		}
		all[name] = map[string]typeRef{}
		for _, f := range object.Values {
			all[name][f.Name.Name] = refTo(f.Type)
		}
	}
	return all
}

func refTo(t ast.Type) typeRef {
	switch t := t.(type) {
	case *ast.NonNull:
		of := refTo(t.OfType)
		of.required = true
		return of
	case *ast.List:
		of := refTo(t.OfType)
		return typeRef{list: &of}
	}
	return typeRef{name: t.String()}
}

// misfit finds what in the variables does not fit its type. The library, which is not asked for every operation, looks at
// scalars only when it comes to them: other mutations of the document may have been executed then.
func (in inputs) misfit(o *operation, variables map[string]any) []*qerrors.QueryError {
	for name, t := range o.declared {
		if problem := in.check("$"+name, variables[name], t); problem != "" {
			return []*qerrors.QueryError{refusal(codeInvalid, problem)}
		}
	}
	return nil
}

func (in inputs) check(path string, value any, t typeRef) (problem string) {
	switch value := value.(type) {
	case nil:
		if t.required {
			return path + " is required, and must not be null"
		}
		return ""
	case []any:
		for i, item := range value {
			if t.list == nil {
				return path + " is a list, and must be none"
			}
			if problem := in.check(fmt.Sprintf("%s[%d]", path, i), item, *t.list); problem != "" {
				return problem
			}
		}
		return ""
	}
	if t.list != nil { // one is as good as a list of one
		return in.check(path, value, *t.list)
	}
	fields, ok := in[t.name]
	if !ok {
		return misfitOf(path, value, t.name)
	}
	object, ok := value.(map[string]any)
	if !ok {
		return path + " is no object: it must be a " + t.name
	}
	for name := range object {
		if _, ok := fields[name]; !ok {
			return fmt.Sprintf("%s has a field %q, which %s does not know", path, name, t.name)
		}
	}
	for name, of := range fields {
		if problem := in.check(path+"."+name, object[name], of); problem != "" {
			return problem
		}
	}
	return ""
}

// misfitOf says what is wrong with a scalar, as JSON gives it.
func misfitOf(path string, value any, scalar string) (problem string) {
	switch value := value.(type) {
	case string:
		if scalar == "String" || scalar == "ID" {
			return ""
		}
	case bool:
		if scalar == "Boolean" {
			return ""
		}
	case float64:
		if scalar == "Int" && value == math.Trunc(value) && math.Abs(value) <= math.MaxInt32 {
			return ""
		}
		return fmt.Sprintf("%s: %s is no %s%s", path, strconv.FormatFloat(value, 'f', -1, 64), scalar, hintAt(scalar))
	}
	return fmt.Sprintf("%s is no %s%s", path, scalar, hintAt(scalar))
}

func hintAt(scalar string) string {
	if scalar == "Int" {
		return fmt.Sprintf(", a whole number up to %d", math.MaxInt32)
	}
	return ""
}
