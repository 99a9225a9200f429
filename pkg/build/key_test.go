package build

import (
	"reflect"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/internal/recipe"
	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers"
)

func keyOf(s *dockerfile.Run) layers.Key {
	return runKey(layers.Key{}, s, v1.Platform{}, Limits{}, make([][32]byte, len(s.Mounts)))
}

// TestRunKeyHasEveryField changes the fields of a Run and of its mounts one at a time: a field that is added without a
// thought for the key fails here.
func TestRunKeyHasEveryField(t *testing.T) {
	// From is in the digests of the mounts; scripts and unread say what files below the RUN have, which its parent names.
	none := map[string]bool{"meta": true, "ProxyEnv": true, "From": true, "scripts": true, "unread": true}
	base := dockerfile.Run{Mounts: []dockerfile.Mount{{}}}
	before := keyOf(&base)
	for _, f := range reflect.VisibleFields(reflect.TypeFor[dockerfile.Run]()) {
		if len(f.Index) > 1 || none[f.Name] || f.Name == "Mounts" {
			continue
		}
		changed := base
		change(t, reflect.ValueOf(&changed).Elem().FieldByIndex(f.Index))
		if keyOf(&changed) == before {
			t.Errorf("Run.%s does not change the key", f.Name)
		}
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[dockerfile.Mount]()) {
		if none[f.Name] {
			continue
		}
		changed := dockerfile.Run{Mounts: []dockerfile.Mount{{}}}
		change(t, reflect.ValueOf(&changed.Mounts[0]).Elem().FieldByIndex(f.Index))
		if keyOf(&changed) == before {
			t.Errorf("Mount.%s does not change the key", f.Name)
		}
	}
}

func change(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Int64:
		v.SetInt(v.Int() + 1)
	case reflect.Slice:
		v.Set(reflect.Append(v, reflect.New(v.Type().Elem()).Elem()))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
	default:
		t.Fatalf("no way to change a %v", v.Kind())
	}
}

// FuzzRecipe: the encoding is injective, so two lists of fields have one key only if they are equal.
func FuzzRecipe(f *testing.F) {
	f.Add("a", "b", "ab", "")
	f.Add("a\x00", "", "a", "\x00")
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		one, two := recipe.New("k", layers.Key{}), recipe.New("k", layers.Key{})
		one.Text(a, b)
		two.Text(c, d)
		if (one.Key() == two.Key()) != (a == c && b == d) {
			t.Errorf("%q and %q, %q and %q", a, b, c, d)
		}
		three, four := recipe.New("k", layers.Key{}), recipe.New("k", layers.Key{})
		three.List([]string{a})
		three.List([]string{b})
		four.List([]string{a, b})
		if three.Key() == four.Key() {
			t.Error("two lists are as one")
		}
	})
}
