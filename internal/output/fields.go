// This file owns the words of one -o.

package output

import (
	"fmt"
	"strconv"
)

// fields are the words of one -o, KEY=VALUE each.
type fields map[string]string

// boolean reads a field into to, which stays as it is where there is none.
func (f fields) boolean(key string, to *bool) (err error) {
	if value, ok := f[key]; ok {
		if *to, err = strconv.ParseBool(value); err != nil {
			return fmt.Errorf("%s=%s: it is true or false", key, value)
		}
	}
	return nil
}
