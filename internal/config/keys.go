package config

import (
	"reflect"
	"strconv"
	"strings"
	"time"
)

const envPrefix = "MINIPUSH_"

// Key is one setting as documents show it.
type Key struct {
	// Path is the YAML key with its section, for example "send.chunk_size".
	Path string
	// Env is the variable, for example "MINIPUSH_SEND_CHUNK_SIZE".
	Env string
	// Default is the default as one would write it in the file.
	Default string
	// Limits are the values allowed, for example "1 to 1000"; empty where there is no limit.
	Limits string
	// Doc is the meaning, in one or two sentences.
	Doc string
	// Secret says that the value is never printed, and can be read from the file that Env + "_FILE" names.
	Secret bool
}

// Keys lists every setting in the order of the struct.
func Keys() []Key {
	c := Default()
	leaves := c.leaves()
	keys := make([]Key, len(leaves))
	for i, l := range leaves {
		keys[i] = Key{
			Path:    l.path,
			Env:     l.env,
			Default: l.text(),
			Limits:  l.limits(),
			Doc:     l.tag.Get("doc"),
			Secret:  l.secret(),
		}
	}
	return keys
}

// leaf is one setting of one Config: its value can be read and set.
type leaf struct {
	path, env string
	tag       reflect.StructTag
	value     reflect.Value
}

// leaves walks the struct. A struct field is a section, any other field a setting.
func (c *Config) leaves() []leaf {
	var found []leaf
	var walk func(v reflect.Value, path, env string)
	walk = func(v reflect.Value, path, env string) {
		for i := range v.NumField() {
			field := v.Type().Field(i)
			name := path + field.Tag.Get("yaml")
			if field.Type.Kind() == reflect.Struct {
				walk(v.Field(i), name+".", env+field.Tag.Get("envPrefix"))
				continue
			}
			found = append(found, leaf{path: name, env: env + field.Tag.Get("env"), tag: field.Tag, value: v.Field(i)})
		}
	}
	walk(reflect.ValueOf(c).Elem(), "", envPrefix)
	return found
}

func (l leaf) secret() bool {
	_, ok := l.value.Interface().(Secret)
	return ok
}

// want says what form a value of this setting has.
func (l leaf) want() string {
	switch l.value.Interface().(type) {
	case int:
		return "a whole number"
	case time.Duration:
		return "a duration such as 90s, 10m or 720h"
	case Size:
		return "a size such as 4096, 100MB or 1GiB"
	default:
		return "text"
	}
}

// text is the value as it stands in the file; a secret is redacted.
func (l leaf) text() string {
	switch v := l.value.Interface().(type) {
	case int:
		return strconv.Itoa(v)
	case time.Duration:
		return formatDuration(v)
	case Size:
		return v.String()
	case Secret:
		return strconv.Quote(v.String())
	default:
		return strconv.Quote(l.value.String())
	}
}

func (l leaf) limits() string {
	least, most := l.tag.Get("min"), l.tag.Get("max")
	switch {
	case least != "" && most != "":
		return least + " to " + most
	case least != "":
		return "at least " + least
	default:
		return strings.ReplaceAll(l.tag.Get("oneof"), "|", ", ")
	}
}

// formatDuration writes 10m and 720h where Duration.String writes 10m0s and 720h0m0s.
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
