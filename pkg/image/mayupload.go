// This file asks a registry whether it would take an image, before there is one.

package image

import (
	"context"
	"net/http"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// MayPush says whether the registry takes blobs for the repository of r: it opens an upload, and gives it up. The error is that of
// the push which would fail.
func MayPush(ctx context.Context, r Ref, o Options) error {
	if r.Kind != KindRegistry {
		return badRef(r.String(), "it is no repository of a registry")
	}
	c, err := newClient(ctx, login{ref: r, options: o, action: transport.PushScope})
	if err != nil {
		return err
	}
	resp, err := c.do(ctx, request{method: http.MethodPost, to: c.url("blobs", "uploads/")}, accepted...)
	if err != nil {
		return err
	}
	resp.Body.Close()
	at, err := next(resp, upload{to: c}.named(resp))
	if err != nil {
		return nil //nolint:nilerr // A registry that opens uploads nowhere takes blobs in another way.
	}
	// What is not given up the registry removes in time.
	_ = closed(c.do(ctx, request{method: http.MethodDelete, to: at}, http.StatusNoContent, http.StatusAccepted, http.StatusOK))
	return nil
}
