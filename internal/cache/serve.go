package cache

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"m3o/internal/bus"
	"m3o/internal/fault"
	"m3o/internal/problem"
)

// Where the replicas of a service reach each other's parts of the cache.
const (
	portNumber  = 888
	port        = ":888"
	pathValue   = "/dcache/value"   // GET, PUT, DELETE
	pathSum     = "/dcache/sum"     // GET: SHA-256 of a value
	pathPrefix  = "/dcache/prefix"  // DELETE
	pathSpare   = "/dcache/spare"   // POST: an element of a replica that closes
	pathHolding = "/dcache/holding" // GET
)

// endpoints are what the other replicas ask. Who has nothing answers 204.
func (c *Cache) endpoints() (all []bus.Endpoint) {
	serve := func(method, path string, answer func(http.ResponseWriter, *http.Request, url.Values)) {
		all = append(all, bus.Endpoint{Host: c.config.Host, Port: portNumber, Method: method, Path: path, Handler: c.forOthers(answer)})
	}
	serve(http.MethodGet, pathValue, c.serveValue)
	serve(http.MethodPut, pathValue, c.servePut)
	serve(http.MethodDelete, pathValue, c.serveDelete)
	serve(http.MethodGet, pathSum, c.serveSum)
	serve(http.MethodDelete, pathPrefix, c.serveDeletePrefix)
	serve(http.MethodPost, pathSpare, c.serveSpare)
	serve(http.MethodGet, pathHolding, c.serveHolding)
	return all
}

// forOthers answers everybody but this replica, whom a multicast reaches too.
func (c *Cache) forOthers(answer func(http.ResponseWriter, *http.Request, url.Values)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		if strings.EqualFold(query.Get("from"), c.config.Replica) {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		c.solitude.visited()
		answer(w, r, query)
	})
}

func (c *Cache) serveValue(w http.ResponseWriter, _ *http.Request, query url.Values) {
	e := c.own.get(query.Get("key"))
	if e == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(e.value)
}

func (c *Cache) serveSum(w http.ResponseWriter, _ *http.Request, query url.Values) {
	e := c.own.get(query.Get("key"))
	if e == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	sum := e.sum()
	_, _ = w.Write(sum[:])
}

func (c *Cache) servePut(w http.ResponseWriter, r *http.Request, query url.Values) {
	e, err := c.read(r, query)
	if err == nil {
		err = c.own.put(r.Context(), e)
	}
	if err != nil {
		c.own.remove(query.Get("key")) // the old value is wrong in any case
	}
	written(w, r, errors.Join(err, c.recall(r.Context(), pathValue, query.Get("key"))))
}

func (c *Cache) serveDelete(w http.ResponseWriter, r *http.Request, query url.Values) {
	c.own.remove(query.Get("key"))
	written(w, r, c.recall(r.Context(), pathValue, query.Get("key")))
}

func (c *Cache) serveDeletePrefix(w http.ResponseWriter, r *http.Request, query url.Values) {
	c.own.removePrefix(query.Get("key"))
	written(w, r, c.recall(r.Context(), pathPrefix, query.Get("key")))
}

func written(w http.ResponseWriter, r *http.Request, err error) {
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// serveSpare answers 200 when this replica has the element now.
func (c *Cache) serveSpare(w http.ResponseWriter, r *http.Request, query url.Values) {
	e, err := c.read(r, query)
	switch {
	case err != nil:
		problem.Write(w, r, err)
	case c.departure.begun() || !c.own.spare(r.Context(), e):
		w.WriteHeader(http.StatusNoContent)
	default:
		w.WriteHeader(http.StatusOK)
	}
}

func (c *Cache) serveHolding(w http.ResponseWriter, r *http.Request, _ url.Values) {
	h := c.own.holding()
	if c.departure.begun() {
		h.Room = 0
	}
	body, err := json.Marshal(h)
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body)
}

// read is the element of a request.
func (c *Cache) read(r *http.Request, query url.Values) (*element, error) {
	key := query.Get("key")
	age, err := strconv.ParseInt(query.Get("age"), 10, 64)
	if err != nil {
		return nil, fault.BadField("age", "it is a number of nanoseconds")
	}
	value, err := io.ReadAll(io.LimitReader(r.Body, c.config.MaxBytes+1))
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the body could not be read to its end")
	}
	if err := c.own.fits(key, len(value)); err != nil {
		return nil, fault.Wrap(fault.TooLarge, err, "this replica keeps no element of more than %d bytes", c.config.MaxBytes)
	}
	return &element{key: key, value: value, born: c.config.Now().Add(-time.Duration(age))}, nil
}
