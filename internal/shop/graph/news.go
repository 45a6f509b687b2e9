package graph

import (
	"context"
	"errors"
	"sync"
	"time"

	"m3o/internal/bus"
	"m3o/internal/shop/graph/graphapi"
)

// The pace of the news.
const (
	newsEvery = 20 * time.Millisecond // at most so often, for each is a request to every replica
	newsLimit = 2 * time.Second       // for the replicas to take it
	mostNews  = 10_000                // that wait; then the topics do
)

// news gathers what one replica learns from the durable topics, where only one of them learns each fact, and tells all of
// them: a subscription may be open at any.
type news struct {
	tell func(ctx context.Context, gathered graphapi.News)

	mu       sync.Mutex
	gathered graphapi.News
	waiting  chan struct{} // has one when there is something to tell

	stop  context.CancelFunc
	ended sync.WaitGroup
}

func newNews(tell func(context.Context, graphapi.News)) *news {
	return &news{tell: tell, waiting: make(chan struct{}, 1), stop: func() {}}
}

var errBehind = errors.New("more happens than the replicas of graph take")

// add takes news, unless too many wait.
func (n *news) add(more graphapi.News) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.gathered.Placed)+len(n.gathered.Stock) >= mostNews {
		return bus.After(newsEvery, errBehind)
	}
	n.gathered.Placed = append(n.gathered.Placed, more.Placed...)
	n.gathered.Stock = append(n.gathered.Stock, more.Stock...)
	select {
	case n.waiting <- struct{}{}:
	default:
	}
	return nil
}

func (n *news) take() graphapi.News {
	n.mu.Lock()
	defer n.mu.Unlock()
	taken := n.gathered
	n.gathered = graphapi.News{}
	return taken
}

// start begins to tell. It goes on until shut.
func (n *news) start(ctx context.Context) {
	ctx, n.stop = context.WithCancel(context.WithoutCancel(ctx))
	n.ended.Go(func() { n.run(ctx) })
}

func (n *news) shut() {
	n.stop()
	n.ended.Wait()
}

func (n *news) run(ctx context.Context) {
	pace := time.NewTicker(newsEvery)
	defer pace.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.waiting:
		}
		n.tellOnce(ctx, n.take())
		select {
		case <-ctx.Done():
			return
		case <-pace.C:
		}
	}
}

// tellOnce waits for the replicas, so that what comes later is not heard earlier.
func (n *news) tellOnce(ctx context.Context, taken graphapi.News) {
	ctx, cancel := context.WithTimeout(ctx, newsLimit)
	defer cancel()
	n.tell(ctx, taken)
}
