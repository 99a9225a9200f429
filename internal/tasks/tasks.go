// Package tasks is what goes on beside the rest of a work: tasks, the first failure of which cancels all, and results that many
// wait for and one computes. A task has no name; results have one, and who asks for a result starts the task that computes it.
package tasks

import (
	"cmp"
	"context"
	"sync"
)

// Group are the goroutines of one work. The first failure cancels the rest.
type Group struct {
	cancel context.CancelCauseFunc

	mu  sync.Mutex
	all []*Task
}

// Task is one of them.
type Task struct {
	done chan struct{} // closed at the end
	err  error         // valid from then on
}

// New makes a group whose first failure is given to cancel.
func New(cancel context.CancelCauseFunc) *Group { return &Group{cancel: cancel} }

// Start runs f in a goroutine of its own.
func (t *Group) Start(f func() error) *Task {
	one := &Task{done: make(chan struct{})}
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

// Wait returns when everything that was started has ended, with the first error.
func (t *Group) Wait() (err error) {
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

// Once has results by name, each of which is computed by one task, when it is first asked for.
type Once[K comparable, V any] struct {
	Tasks *Group

	mu    sync.Mutex
	known map[K]*Future[V]
}

// Future is one of these results.
type Future[V any] struct {
	*Task
	value V
}

// Start computes the result of that name by f, unless it is known or on its way.
func (o *Once[K, V]) Start(name K, f func() (V, error)) *Future[V] {
	o.mu.Lock()
	defer o.mu.Unlock()
	if known := o.known[name]; known != nil {
		return known
	}
	if o.known == nil {
		o.known = map[K]*Future[V]{}
	}
	fu := &Future[V]{}
	fu.Task = o.Tasks.Start(func() (err error) {
		fu.value, err = f()
		return err
	})
	o.known[name] = fu
	return fu
}

// Get computes the result, or waits for whoever does.
func (o *Once[K, V]) Get(ctx context.Context, name K, f func() (V, error)) (V, error) {
	return o.Start(name, f).Get(ctx)
}

// Finished returns a result that is there without an error.
func (o *Once[K, V]) Finished(name K) (value V, ok bool) {
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

// Get waits for the result, or until the caller is no longer interested.
func (f *Future[V]) Get(ctx context.Context) (value V, err error) {
	select {
	case <-f.done:
		return f.value, f.err
	case <-ctx.Done():
		return value, context.Cause(ctx)
	}
}
