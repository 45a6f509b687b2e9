package web

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// Ports of the bus.
const (
	usualPort   = 443 // of a path that names none
	eventPort   = 417 // where sinks listen
	controlPort = 888 // where the house controls its services; nobody outside reaches it
)

// Ports are the rules by which the port at which a request came in, and the bus port
// that it asks for, decide at which bus port it is served. With no rules, the zero
// value, every request is served at the port that it asks for.
type Ports struct {
	rules map[portRule]int // to the port that serves, or anyPort
}

// portRule is what a rule is for.
type portRule struct{ external, asked int }

// anyPort stands for * in a rule.
const anyPort = 0

// ParsePorts reads rules such as "8080:*->*" and "80:*->443": the port that this
// process listens on, the bus port that is asked for, and the one that serves, where *
// is any, and the one asked for. Of the rules that fit, the most specific counts:
// both ports named, then the bus port, then the external port, then none. What no rule
// fits is not reached. The error is a sentence for an operator.
func ParsePorts(rules []string) (Ports, error) {
	p := Ports{rules: map[portRule]int{}}
	for _, text := range rules {
		rule, served, err := parsePortRule(text)
		if err != nil {
			return Ports{}, err
		}
		if _, twice := p.rules[rule]; twice {
			return Ports{}, fmt.Errorf("%q: there is another rule for the same ports: remove one", text)
		}
		p.rules[rule] = served
	}
	return p, nil
}

func parsePortRule(text string) (rule portRule, served int, err error) {
	from, to, arrow := strings.Cut(text, "->")
	external, asked, colon := strings.Cut(from, ":")
	ok := arrow && colon && parsePort(external, &rule.external) && parsePort(asked, &rule.asked) && parsePort(to, &served)
	switch {
	case !ok:
		return rule, 0, fmt.Errorf("%q is no port rule: write external:asked->served such as 8080:*->* or 80:*->443, each * or a port from 1 to 65535", text)
	case served == controlPort || rule.asked == controlPort:
		return rule, 0, fmt.Errorf("%q: bus port %d controls the services and is not reached from outside: leave it out", text, controlPort)
	}
	return rule, served, nil
}

func parsePort(text string, port *int) bool {
	if text = strings.TrimSpace(text); text == "*" {
		*port = anyPort
		return true
	}
	*port = portOf(text)
	return *port > 0
}

// portOf reads a port from 1 to 65535; 0 when the text is none.
func portOf(text string) int {
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0
	}
	return int(port)
}

// serves is the bus port at which a request is served that asks for one; 0: at none.
func (p Ports) serves(r *http.Request, asked int) int {
	if asked == controlPort || asked == 0 {
		return 0
	}
	if len(p.rules) == 0 {
		return asked
	}
	external := externalPort(r)
	for _, rule := range [...]portRule{{external, asked}, {anyPort, asked}, {external, anyPort}, {anyPort, anyPort}} {
		if served, ok := p.rules[rule]; ok && served == anyPort {
			return asked
		} else if ok {
			return served
		}
	}
	return 0
}

// externalPort is the port of ours at which a request came in; anyPort: not known.
func externalPort(r *http.Request) int {
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok {
		return local.Port
	}
	return anyPort
}
