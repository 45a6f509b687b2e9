package model

import (
	"encoding/json"
	"strings"
	"testing"
)

const (
	asJSON = "application/json"
	asForm = "application/x-www-form-urlencoded"
	asText = "text/plain"
)

// exchange is a request and its answer.
type exchange struct {
	name string
	request
	want string
}

// arguments shows where arguments come from: body, then query, then path, of which the
// later win.
func (s suite) arguments(t *testing.T) {
	const host = "https://thing.test"
	s.exchanges(t, []exchange{
		{"R02/JSONBody", request{"POST", host + "/add", asJSON, `{"x":1,"y":2}`}, `{"sum":3}`},
		{"R02/JSONBodyOfAnyMethodThatHasOne", request{"PATCH", host + "/add", asJSON, `{"x":1,"y":2}`}, `{"sum":3}`},
		{"R03/ContentTypeWithParameters", request{"POST", host + "/add", asJSON + "; charset=utf-8", `{"x":1,"y":2}`}, `{"sum":3}`},
		{"R03/ContentTypeInOtherCase", request{"POST", host + "/add", "Application/JSON;Charset=UTF-8", `{"x":1,"y":2}`}, `{"sum":3}`},
		{"R03/NoContentType", request{"POST", host + "/add", "", `{"x":1,"y":2}`}, `{"sum":3}`},
		{"R03/WhiteSpace", request{"POST", host + "/add", asJSON, " {\n\"x\": 1, \"y\":\t2 }\n"}, `{"sum":3}`},
		{"R04/Form", request{"POST", host + "/add", asForm, `x=4&y=5`}, `{"sum":9}`},
		{"R04/FormWithParameters", request{"POST", host + "/add", asForm + "; charset=utf-8", `x=4&y=5`}, `{"sum":9}`},
		{"R04/FormWithEscapes", request{"POST", host + "/say-body", asForm, `s=a+b%26%3D%2B`}, `{"r":"a b&=+"}`},
		{"R05/Query", request{"GET", host + "/add?x=1&y=2", "", ""}, `{"sum":3}`},
		{"R05/QueryOfAPOST", request{"POST", host + "/add?x=1&y=2", "", ""}, `{"sum":3}`},
		{"R06/QueryBeatsBody", request{"POST", host + "/add?x=10", asJSON, `{"x":1,"y":2}`}, `{"sum":12}`},
		{"R06/QueryBeatsForm", request{"POST", host + "/add?x=10", asForm, `x=1&y=2`}, `{"sum":12}`},
		{"R07/PathBeatsQuery", request{"GET", host + "/v/BAR?foo=XYZ", "", ""}, `{"echo":"BAR"}`},
		{"R07/PathBeatsBody", request{"POST", host + "/v/BAR", asJSON, `{"foo":"XYZ"}`}, `{"echo":"BAR"}`},
		{"R07/PathBeatsForm", request{"POST", host + "/v/BAR?foo=ABC", asForm, `foo=XYZ`}, `{"echo":"BAR"}`},
		{"R08/UnfilledPathTakesQuery", request{"GET", host + "/v/{foo}?foo=BAR", "", ""}, `{"echo":"BAR"}`},
		{"R08/UnfilledPathTakesBody", request{"POST", host + "/v/{foo}", asJSON, `{"foo":"BAR"}`}, `{"echo":"BAR"}`},
		{"R08/UnfilledPathTakesQueryBeforeBody", request{"POST", host + "/v/{foo}?foo=Q", asJSON, `{"foo":"B"}`}, `{"echo":"Q"}`},
		{"R08/UnfilledEscapedPathTakesQuery", request{"GET", host + "/v/%7Bfoo%7D?foo=BAR", "", ""}, `{"echo":"BAR"}`},
		{"R09/NothingIsZero", request{"POST", host + "/add", asJSON, ""}, `{"sum":0}`},
		{"R09/MissingIsZero", request{"POST", host + "/add", asJSON, `{"y":2}`}, `{"sum":2}`},
		{"R09/NullIsZero", request{"POST", host + "/add", asJSON, `{"x":null,"y":2}`}, `{"sum":2}`},
		{"R09/UnknownNamesAreIgnored", request{"POST", host + "/add?z=1&z.y=2&z[a]=3", asJSON, `{"x":1,"y":2,"z":{"y":5}}`}, `{"sum":3}`},
		{"R14/MembersByDots", request{"GET", host + "/distance?p.x=3&p.y=4", "", ""}, `{"d":5}`},
		{"R14/MembersByBrackets", request{"GET", host + "/distance?p[x]=3&p[y]=4", "", ""}, `{"d":5}`},
		{"R14/MembersByEscapedBrackets", request{"GET", host + "/distance?p%5Bx%5D=3&p%5By%5D=4", "", ""}, `{"d":5}`},
		{"R14/MembersOfMembers", request{"GET", host + "/distance?p.home.number=1&p[home][street]=S&p.tags=a&p.x=3&p.y=4", "", ""}, `{"d":5}`},
		{"R14/WholeAsJSON", request{"GET", host + "/distance?p=%7B%22x%22:3,%22y%22:4%7D", "", ""}, `{"d":5}`},
		{"R15/RepeatedNamesAreAList", request{"GET", host + "/shapes?list=1&list=2&tags=a&tags=b", "", ""}, `"tags":["a","b"],"counts":null,"list":[1,2]`},
		{"R15/OneNameIsAListOfOne", request{"GET", host + "/shapes?list=1&tags=a", "", ""}, `"tags":["a"],"counts":null,"list":[1]`},
		{"R15/BracketsAreAList", request{"GET", host + "/shapes?list[0]=1&list[1]=2&tags[]=a&tags[]=b", "", ""}, `"tags":["a","b"],"counts":null,"list":[1,2]`},
		{"R15/JSONIsAList", request{"GET", host + "/shapes?list=[1,2]&tags=[%22a%22,%22b%22]", "", ""}, `"tags":["a","b"],"counts":null,"list":[1,2]`},
		{"R15/KeysOfAMap", request{"GET", host + "/shapes?counts.a=1&counts[b]=2", "", ""}, `"counts":{"a":1,"b":2}`},
		{"R15/ListInAForm", request{"POST", host + "/shapes-body", asForm, `list=1&list=2&counts.a=1&person.x=7`}, `"counts":{"a":1},"list":[1,2]`},
		{"R16/TextsStayTexts", request{"GET", host + "/say?s=null", "", ""}, `{"r":"null"}`},
		{"R16/NumbersStayTexts", request{"GET", host + "/say?s=1e3", "", ""}, `{"r":"1e3"}`},
		{"R16/QuotesStay", request{"GET", host + "/say?s=%22q%22", "", ""}, `{"r":"\"q\""}`},
		{"R18/DurationInBody", request{"POST", host + "/shapes-body", asJSON, `{"span":"90s"}`}, `"span":90000000000`},
		{"R18/DurationInQuery", request{"GET", host + "/shapes?span=1m30s", "", ""}, `"span":90000000000`},
		{"R18/DurationInNanoseconds", request{"GET", host + "/shapes?span=5", "", ""}, `"span":5,`},
		{"R18/TimeInQuery", request{"GET", host + "/shapes?at=2026-01-02T03:04:05Z", "", ""}, `"at":"2026-01-02T03:04:05Z"`},
		{"R23/TheWholeBody", request{"POST", host + "/body/3", asJSON, `[1,2]`}, `[3,6]`},
		{"R23/TheWholeBodyOfNoType", request{"POST", host + "/body/3", "", `[1,2]`}, `[3,6]`},
		{"R23/OtherArgumentsComeFromTheQuery", request{"POST", host + "/body/{k}?k=4", asJSON, `[1,2]`}, `[4,8]`},
		{"R28/NoResults", request{"POST", host + "/nothing", asJSON, `{}`}, `{}`},
		{"R28/NoResultsByGET", request{"GET", host + "/nothing", "", ""}, `{}`},
	})
}

// exchanges checks that requests are answered with 200, JSON and the text that is wanted.
func (s suite) exchanges(t *testing.T, all []exchange) {
	for _, e := range all {
		s.check(t, e.name, func(t *testing.T, p *plane) {
			p.thing()
			w := p.send(e.request)
			if w.Code != 200 || !strings.Contains(w.Body.String(), e.want) || len(e.want) > 2 && e.want[0] == '{' && w.Body.String() != e.want {
				t.Errorf("got %d %s, want %s", w.Code, w.Body, e.want)
			}
			if kind := w.Header().Get("Content-Type"); kind != asJSON {
				t.Errorf("the answer is %q", kind)
			}
		})
	}
}

// refusal is a request that a caller must mend, and the argument that it is told about.
type refusal struct {
	name string
	request
	field string // empty: the request as a whole
}

// refusals shows that bad input is the caller's to mend, and that the answer names the
// argument.
func (s suite) refusals(t *testing.T) {
	const host = "https://thing.test"
	for _, c := range []refusal{
		{"R10/NoNumberInQuery", request{"GET", host + "/add?x=abc", "", ""}, "x"},
		{"R11/NothingIsNoNumber", request{"GET", host + "/add?x=", "", ""}, "x"},
		{"R11/NullIsNoNumber", request{"GET", host + "/add?x=null", "", ""}, "x"},
		{"R12/NoFractionForAnInteger", request{"GET", host + "/add?x=1.5", "", ""}, "x"},
		{"R12/NoNumberThatDoesNotFit", request{"GET", host + "/numbers?i8=128", "", ""}, "i8"},
		{"R12/NoLessThanZeroForAnUnsigned", request{"GET", host + "/numbers?u=-1", "", ""}, "u"},
		{"R12/NoNumberBeyondSixtyFourBits", request{"GET", host + "/numbers?u64=18446744073709551616", "", ""}, "u64"},
		{"R12/NoOtherWordForTrue", request{"GET", host + "/numbers?ok=yes", "", ""}, "ok"},
		{"R12/NoTimeInQuery", request{"GET", host + "/shapes?at=yesterday", "", ""}, "at"},
		{"R12/NoDurationInQuery", request{"GET", host + "/shapes?span=soon", "", ""}, "span"},
		{"R12/NoBase64InQuery", request{"GET", host + "/shapes?raw=!", "", ""}, "raw"},
		{"R12/NoNumberInAList", request{"GET", host + "/shapes?list=1&list=b", "", ""}, "list"},
		{"R12/NoNumberInAMember", request{"GET", host + "/distance?p.x=far", "", ""}, "p.x"},
		{"R12/NoPlaceFarBeyondAList", request{"GET", host + "/shapes?list[5000]=1", "", ""}, "list.5000"},
		{"R12/NoMemberOfANumber", request{"GET", host + "/add?x.y=1", "", ""}, "x.y"},
		{"R12/NoQuery", request{"GET", host + "/add?x=%zz", "", ""}, ""},
		{"R13/TextForANumber", request{"POST", host + "/add", asJSON, `{"x":"one"}`}, "x"},
		{"R13/NumberForAText", request{"POST", host + "/say-body", asJSON, `{"s":5}`}, "s"},
		{"R13/ObjectForANumber", request{"POST", host + "/add", asJSON, `{"y":{}}`}, "y"},
		{"R13/WrongMember", request{"POST", host + "/shapes-body", asJSON, `{"person":{"x":"far"}}`}, "person"},
		{"R13/NumberThatDoesNotFit", request{"POST", host + "/numbers-body", asJSON, `{"u8":256}`}, "u8"},
		{"R13/NoObject", request{"POST", host + "/add", asJSON, `[1]`}, ""},
		{"R13/NoJSON", request{"POST", host + "/add", asJSON, `{"x":`}, ""},
		{"R13/MoreThanOneJSON", request{"POST", host + "/add", asJSON, `{"x":1} {"y":2}`}, ""},
		{"R13/NoNumberInAForm", request{"POST", host + "/add", asForm, `x=one`}, "x"},
		{"R13/WholeBodyOfAnotherType", request{"POST", host + "/body/3", asJSON, `{"a":1}`}, "body"},
		{"R13/WholeBodyThatIsNoJSON", request{"POST", host + "/body/3", asText, `one`}, "body"},
		{"R19/NoNumberInPath", request{"GET", host + "/p/1.5x/q/abc", "", ""}, "n"},
		{"R19/NothingForANumberInPath", request{"GET", host + "/p/a/q/", "", ""}, "n"},
		{"R19/NoTimeInPath", request{"GET", host + "/moments/now/1s/", "", ""}, "at"},
	} {
		s.check(t, c.name, func(t *testing.T, p *plane) {
			p.thing()
			c.refused(t, p)
		})
	}
}

// refused checks the answer to a bad request.
func (c refusal) refused(t *testing.T, p *plane) {
	w := p.send(c.request)
	var problem struct {
		Detail string
		Errors []struct{ Name, Detail string }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil || w.Code != 400 || problem.Detail == "" {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	if c.field != "" && (len(problem.Errors) != 1 || problem.Errors[0].Name != c.field || !strings.Contains(problem.Detail, c.field)) {
		t.Errorf("%s is not named: %s", c.field, w.Body)
	}
	for _, internal := range []string{"int8", "uint", "strconv", "Unmarshal", "json:", "thingapi"} {
		if strings.Contains(problem.Detail, internal) {
			t.Errorf("it shows how we work: %s", problem.Detail)
		}
	}
}
