package api

import (
	"reflect"
	"time"
)

// inZone moves every time that v holds into loc, so that it is shown with the offset of the configured time zone. v is a
// pointer to an answer that nobody else holds.
func inZone(v any, loc *time.Location) { zoneValue(reflect.ValueOf(v), loc) }

func zoneValue(v reflect.Value, loc *time.Location) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			zoneValue(v.Elem(), loc)
		}
	case reflect.Slice:
		for i := range v.Len() {
			zoneValue(v.Index(i), loc)
		}
	case reflect.Struct:
		if t, ok := reflect.TypeAssert[time.Time](v); ok {
			if v.CanSet() {
				v.Set(reflect.ValueOf(t.In(loc)))
			}
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				zoneValue(v.Field(i), loc)
			}
		}
	default:
	}
}
