package rpc

import (
	"encoding"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

var (
	durationType = reflect.TypeFor[time.Duration]()
	timeType     = reflect.TypeFor[time.Time]()
	bytesType    = reflect.TypeFor[[]byte]()
)

// maxIndex bounds the elements that a name such as tags[7] may ask for.
const maxIndex = 1000

// memberPath splits p.x and p[x][y] into names.
func memberPath(name string) []string {
	if !strings.ContainsAny(name, ".[") {
		return []string{name}
	}
	name = strings.ReplaceAll(name, "]", "")
	return strings.FieldsFunc(name, func(c rune) bool { return c == '.' || c == '[' })
}

// setMember sets what path leads to within v from texts: the same type reads the same
// text in a query, a form and a path. A member that is not there is ignored.
func setMember(v reflect.Value, path, list []string) error {
	if len(path) == 0 {
		return decodeTexts(list, v)
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		return setMember(v.Elem(), path, list)
	case reflect.Struct:
		if member := memberOf(v, path[0]); member.IsValid() {
			return setMember(member, path[1:], list)
		}
		return nil
	case reflect.Map:
		return setKey(v, path, list)
	case reflect.Slice:
		return setElement(v, path, list)
	}
	return fmt.Errorf("%s has no members", v.Type())
}

// memberOf is the field of a struct by its JSON name.
func memberOf(v reflect.Value, name string) reflect.Value {
	t := v.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		jsonName, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if jsonName == "" {
			jsonName = f.Name
		}
		if f.IsExported() && jsonName != "-" && strings.EqualFold(jsonName, name) {
			return v.Field(i)
		}
	}
	return reflect.Value{}
}

func setKey(v reflect.Value, path, list []string) error {
	t := v.Type()
	if t.Key().Kind() != reflect.String {
		return fmt.Errorf("the keys of %s are no texts", t)
	}
	if v.IsNil() {
		v.Set(reflect.MakeMap(t))
	}
	key := reflect.ValueOf(path[0]).Convert(t.Key())
	value := reflect.New(t.Elem()).Elem()
	if old := v.MapIndex(key); old.IsValid() {
		value.Set(old)
	}
	if err := setMember(value, path[1:], list); err != nil {
		return err
	}
	v.SetMapIndex(key, value)
	return nil
}

func setElement(v reflect.Value, path, list []string) error {
	i, err := strconv.Atoi(path[0])
	if err != nil || i < 0 || i >= maxIndex {
		return fmt.Errorf("%q is no place in a list", path[0])
	}
	for v.Len() <= i {
		v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
	}
	return setMember(v.Index(i), path[1:], list)
}

// decodeTexts sets v from the texts given for one name: all of them for a list, else
// the first.
func decodeTexts(list []string, v reflect.Value) error {
	if v.Kind() != reflect.Slice || v.Type() == bytesType {
		return decodeText(list[0], v)
	}
	if len(list) == 1 && strings.HasPrefix(list[0], "[") {
		err := json.Unmarshal([]byte(list[0]), v.Addr().Interface())
		if err == nil || v.Type().Elem().Kind() != reflect.String {
			return err
		}
	}
	all := reflect.MakeSlice(v.Type(), len(list), len(list))
	for i, text := range list {
		if err := decodeText(text, all.Index(i)); err != nil {
			return err
		}
	}
	v.Set(all)
	return nil
}

// decodeText sets v from one text: texts are taken as they are, durations and times
// in their usual notation, bytes in base64, and everything else is JSON.
func decodeText(text string, v reflect.Value) error {
	switch {
	case v.Type() == durationType:
		return decodeDuration(text, v)
	case v.Type() == bytesType:
		b, err := base64.StdEncoding.DecodeString(text)
		v.SetBytes(b)
		return err
	case v.Kind() == reflect.Pointer:
		if text == "null" && v.Type().Elem().Kind() != reflect.String {
			return nil
		}
		v.Set(reflect.New(v.Type().Elem()))
		return decodeText(text, v.Elem())
	case v.Kind() == reflect.Interface:
		if json.Unmarshal([]byte(text), v.Addr().Interface()) != nil {
			v.Set(reflect.ValueOf(text))
		}
		return nil
	}
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	switch {
	case v.Kind() == reflect.String:
		v.SetString(text)
		return nil
	case text == "null":
		return errors.New("nothing was given")
	}
	return json.Unmarshal([]byte(text), v.Addr().Interface())
}

// decodeDuration reads 1m30s, or a whole number of nanoseconds as in JSON.
func decodeDuration(text string, v reflect.Value) error {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		v.SetInt(n)
		return nil
	}
	d, err := time.ParseDuration(text)
	v.SetInt(int64(d))
	return err
}

// encodeText is the text from which decodeText makes v again; false for nothing at
// all, such as a nil pointer.
func encodeText(v reflect.Value) (text string, ok bool, err error) {
	switch {
	case v.Kind() == reflect.Pointer && v.IsNil(), v.Kind() == reflect.Slice && v.IsNil(), v.Kind() == reflect.Map && v.IsNil(), v.Kind() == reflect.Interface && v.IsNil():
		return "", false, nil
	case v.Type() == durationType:
		return time.Duration(v.Int()).String(), true, nil
	case v.Type() == bytesType:
		return base64.StdEncoding.EncodeToString(v.Bytes()), true, nil
	case v.Kind() == reflect.Pointer:
		return encodeText(v.Elem())
	}
	if m, isText := v.Interface().(encoding.TextMarshaler); isText && v.Kind() != reflect.Interface {
		b, err := m.MarshalText()
		return string(b), true, err
	}
	if v.Kind() == reflect.String {
		return v.String(), true, nil
	}
	b, err := encode(v.Interface())
	return string(b), true, err
}
