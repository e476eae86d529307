package v4l2

import "context"

// A lane lets one call at a time through to a camera. One that does not answer
// keeps a call in the kernel for up to 5 s, where nothing interrupts it; whoever
// made the call need not wait that long.
type lane struct{ busy chan struct{} }

func newLane() *lane { return &lane{make(chan struct{}, 1)} }

// do returns what call returns, or the cause of ctx's end if that comes first. A
// call that is under way then goes on by itself, and drop takes back what it did.
func do[T any](ctx context.Context, l *lane, call func() (T, error), drop func(T)) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	var none T
	select {
	case l.busy <- struct{}{}:
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
	done, left := make(chan outcome), make(chan struct{})
	go func() {
		defer func() { <-l.busy }()
		value, err := call()
		select {
		case done <- outcome{value, err}:
		case <-left:
			if err == nil {
				drop(value)
			}
		}
	}()
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
		close(left)
		return none, context.Cause(ctx)
	}
}
