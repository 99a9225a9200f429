// This file owns what a build does beside the rest: tasks, and results that many wait for and one computes.
// A task has no name; results have one, and who asks for a result starts the task that computes it.

package build

import (
	"cmp"
	"context"
	"sync"
)

// tasks are the goroutines of a build. The first failure cancels the rest.
type tasks struct {
	cancel context.CancelCauseFunc

	mu  sync.Mutex
	all []*task
}

// task is one of them.
type task struct {
	done chan struct{} // closed at the end
	err  error         // valid from then on
}

// start runs f in a goroutine of its own.
func (t *tasks) start(f func() error) *task {
	one := &task{done: make(chan struct{})}
	t.mu.Lock()
	t.all = append(t.all, one)
	t.mu.Unlock()
	go func() {
		defer close(one.done)
		if one.err = f(); one.err != nil {
			t.cancel(one.err)
		}
	}()
	return one
}

// wait returns when everything that was started has ended, with the first error.
func (t *tasks) wait() (err error) {
	for i := 0; ; i++ {
		t.mu.Lock()
		if i == len(t.all) {
			t.mu.Unlock()
			return err
		}
		one := t.all[i]
		t.mu.Unlock()
		<-one.done
		err = cmp.Or(err, one.err)
	}
}

// once has results by name, each of which is computed by one task, when it is first asked for.
type once[K comparable, V any] struct {
	tasks *tasks

	mu    sync.Mutex
	known map[K]*future[V]
}

// future is one of these results.
type future[V any] struct {
	*task
	value V
}

// start computes the result of that name by f, unless it is known or on its way.
func (o *once[K, V]) start(name K, f func() (V, error)) *future[V] {
	o.mu.Lock()
	defer o.mu.Unlock()
	if known := o.known[name]; known != nil {
		return known
	}
	if o.known == nil {
		o.known = map[K]*future[V]{}
	}
	fu := &future[V]{}
	fu.task = o.tasks.start(func() (err error) {
		fu.value, err = f()
		return err
	})
	o.known[name] = fu
	return fu
}

// get computes the result, or waits for whoever does.
func (o *once[K, V]) get(ctx context.Context, name K, f func() (V, error)) (V, error) {
	return o.start(name, f).get(ctx)
}

// finished returns a result that is there without an error.
func (o *once[K, V]) finished(name K) (value V, ok bool) {
	o.mu.Lock()
	fu := o.known[name]
	o.mu.Unlock()
	if fu == nil {
		return value, false
	}
	select {
	case <-fu.done:
		return fu.value, fu.err == nil
	default:
		return value, false
	}
}

// get waits for the result, or until the caller is no longer interested.
func (f *future[V]) get(ctx context.Context) (value V, err error) {
	select {
	case <-f.done:
		return f.value, f.err
	case <-ctx.Done():
		return value, context.Cause(ctx)
	}
}
