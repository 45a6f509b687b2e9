package load

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Role is a server that a bench can be instead of itself.
type Role string

// The roles. Bare and Proxy are what m3o is measured by.
const (
	Bare     Role = "bare"     // answers as helloworld does, with nothing around it but chi
	Proxy    Role = "proxy"    // passes on to the upstream, with chi and httputil.ReverseProxy
	Upstream Role = "upstream" // somebody's HTTP API; see serveUpstream
	NATS     Role = "nats"     // a NATS server with JetStream; its address is that of Server, with another scheme
	Goods    Role = "goods"    // answers as the shop does when it is asked for a page of products, with nothing around it but chi
)

// The paths that are called: of the function in m3o's process, of the stream there,
// and of the API that is passed on.
const (
	HelloPath    = "/v1/helloworld/call"
	StreamPath   = "/v1/helloworld/stream"
	UpstreamPath = "/v1/upstream/hello"
	ShopPath     = "/graphql"
)

// Start starts a server of that role on a core. Proxy is told the upstream's address, NATS the folder for its streams.
func (r Role) Start(core, upstream string) (*Server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return launch(core, []string{roleVariable + "=" + string(r), upstreamVariable + "=" + upstream}, self)
}

// serve says the server's address and serves until the process is ended.
func (r Role) serve() error {
	if r == NATS {
		return serveNATS(os.Getenv(upstreamVariable))
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("http://%s\n", listener.Addr())
	switch r {
	case Upstream:
		return serveUpstream(listener)
	case Proxy:
		proxy, err := newProxy(os.Getenv(upstreamVariable))
		if err != nil {
			return err
		}
		return http.Serve(listener, routed(UpstreamPath, proxy))
	case Bare:
		return http.Serve(listener, routed(HelloPath, http.HandlerFunc(greet)))
	case Goods:
		return http.Serve(listener, routed(ShopPath, http.HandlerFunc(list)))
	}
	return fmt.Errorf("%s is no role", r)
}

// serveNATS serves as an operator's server does that is told nothing but a folder.
func serveNATS(dir string) error {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: dir, NoLog: true})
	if err != nil {
		return err
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		return errors.New("nats-server does not start")
	}
	fmt.Printf("http://%s\n", s.Addr())
	s.WaitForShutdown()
	return nil
}

// routed is a handler behind chi, beside what the process says of its memory.
func routed(path string, h http.Handler) http.Handler {
	r := chi.NewRouter()
	r.Method(http.MethodPost, path, h)
	r.Method(http.MethodGet, metricsPath, promhttp.Handler())
	return r
}

func greet(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Name string `json:"name"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"message": "Hello " + in.Name})
}

// Product is one of the shop's, as a page of them has it.
type Product struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Description string `json:"description"`
	Price       int    `json:"price"`
	Stock       int    `json:"stock"`
}

// NewProduct is the n-th that the shop of a bench sells.
func NewProduct(n int) Product {
	return Product{
		Name: fmt.Sprintf("Lamp %d", n), Price: 25 + n, Stock: 2_000_000_000,
		Description: "A lamp of brass with a shade of linen that gives a warm light to read by.",
	}
}

// list answers with a page of 20 products, in the words of GraphQL.
func list(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Query string `json:"query"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var out struct {
		Data struct {
			Products []Product `json:"products"`
		} `json:"data"`
	}
	for n := range 20 {
		p := NewProduct(n)
		p.ID = fmt.Sprintf("prd_06gvt8tjodpnjagdpg4gdjo2%02d", n)
		out.Data.Products = append(out.Data.Products, p)
	}
	w.Header().Set("Content-Type", "application/json")
	text, err := json.Marshal(out)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(text))) // net/http would send so much in chunks
	_, _ = w.Write(text)
}

// keptConnections are as many as the proxy may need: the Transport's own 2 would have
// it open one for most calls.
const keptConnections = 256

// newProxy is the standard library's proxy as it is usually set up.
func newProxy(upstream string) (http.Handler, error) {
	to, err := url.Parse(upstream)
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = keptConnections, keptConnections
	return &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(to) },
		Transport: transport,
	}, nil
}
