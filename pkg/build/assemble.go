// This file owns the putting together of an image, when all its steps have their states.
// The same layers and the same config are the same image; so its time is that of the first build of it.

package build

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/internal/madeimage"
	"github.com/gbuild/gbuild/pkg/layers"
)

// assembler makes the image of the target.
type assembler struct {
	store   *layers.Store
	exports *exports
	sources *sources
	names   *names
	caches  *sharedCaches
	epoch   *int64 // the SOURCE_DATE_EPOCH of the plan; nil: the image is as old as the first build of it
	noCache bool
	started time.Time // the time at which this build was started
}

// image puts the image of the target together from its layers and its config. key is the state of its last step.
func (a *assembler) image(ctx context.Context, target *stage, key layers.Key) (v1.Image, error) {
	x := &stack{exports: a.exports, sources: a.sources, extra: a.exports.layering.extra, parts: map[int][]string{}}
	var err error
	if a.exports.layering.way == OneLayer {
		err = x.squash(ctx, target, key)
	} else {
		err = x.add(ctx, target)
	}
	if err != nil {
		return nil, err
	}
	config := target.config.DeepCopy()
	config.History = x.history(config.History)
	config.RootFS = v1.RootFS{Type: "layers"}
	for _, l := range x.layers {
		id, err := l.DiffID()
		if err != nil {
			return nil, err
		}
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, id)
	}
	if err := a.date(config); err != nil {
		return nil, err
	}
	raw, err := target.resolved.MarshalConfig(config)
	if err != nil {
		return nil, fmt.Errorf("encoding config: %w", err)
	}
	if err := a.exports.recompress(ctx, x.layers); err != nil {
		return nil, err
	}
	img, err := madeimage.New(raw, x.layers)
	if err != nil {
		return nil, err
	}
	return img, rememberState(a.store, img, key)
}

// recordCreated is the kind of the records that keep when an image was first made, under the hash of all else in its
// config: the same build is the same image, to the byte, on every later day.
const recordCreated = "created"

// date sets the times of the image and of the history entries that this build added.
func (a *assembler) date(config *v1.ConfigFile) error {
	at, err := a.created(config)
	if err != nil {
		return err
	}
	config.Created = v1.Time{Time: at}
	for i := range config.History {
		if h := &config.History[i]; h.Created.IsZero() && h.Comment == "buildkit.dockerfile.v0" {
			h.Created = v1.Time{Time: at}
		}
	}
	return nil
}

// created is when the image is said to be made: at SOURCE_DATE_EPOCH, when the same image was first made, or now.
func (a *assembler) created(config *v1.ConfigFile) (time.Time, error) {
	if a.epoch != nil {
		return time.Unix(*a.epoch, 0).UTC(), nil
	}
	raw, err := json.Marshal(config)
	if err != nil {
		return time.Time{}, err
	}
	key := layers.Key(sha256.Sum256(raw))
	record := key
	at, here := a.madeHere(key)
	known := here
	if foreign := a.names.foreign(key); !known && !foreign.IsZero() {
		record = foreign
		if at, here = a.madeHere(record); here {
			known = true
		} else {
			at, known = a.madeElsewhere(key)
		}
	}
	if !known || a.noCache {
		at, here, record = a.started.Truncate(time.Second).UTC(), false, key
	}
	a.caches.writeFact(a.caches.outer, sharedCreated, key, timeKey(at))
	if here {
		return at, nil
	}
	return at, a.store.Remember(recordCreated, record, []byte(strconv.FormatInt(at.Unix(), 10)))
}

// madeHere says when an image was first made here.
func (a *assembler) madeHere(key layers.Key) (time.Time, bool) {
	v, ok := a.store.Recall(recordCreated, key)
	sec, err := strconv.ParseInt(string(v), 10, 64)
	return time.Unix(sec, 0).UTC(), ok && err == nil
}

// madeElsewhere says when an image was first made on a machine with the same shared cache.
func (a *assembler) madeElsewhere(key layers.Key) (time.Time, bool) {
	if e := a.caches.entry(sharedCreated, key); e != nil {
		at := time.Unix(int64(binary.BigEndian.Uint64(e.Result[:])), 0).UTC()
		return at, at.Unix() > 0 && at.Before(a.started.AddDate(0, 0, 1)) // not every clock is right
	}
	return time.Time{}, false
}

// timeKey holds a time, in seconds, where an entry of a shared cache holds a state.
func timeKey(at time.Time) (k layers.Key) {
	binary.BigEndian.PutUint64(k[:], uint64(at.Unix()))
	return k
}
