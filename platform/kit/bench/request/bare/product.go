package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// query is the catalog's own.
const query = `SELECT id, uid, sku, title, description, price_currency, price_units, price_nanos,
    labels, state, create_time, update_time
FROM products WHERE id = $1`

// product is the answer, field by field as the catalog gives it.
type product struct {
	Name        string            `json:"name"`
	UID         string            `json:"uid"`
	SKU         string            `json:"sku"`
	Title       string            `json:"title"`
	Description string            `json:"description"`
	Price       money             `json:"price"`
	Labels      map[string]string `json:"labels"`
	State       string            `json:"state"`
	Etag        string            `json:"etag"`
	CreateTime  string            `json:"createTime"`
	UpdateTime  string            `json:"updateTime"`
}

// stamp gives a time as proto3 JSON writes it: UTC, with 0, 3, 6 or 9 digits of the
// second (google/protobuf/timestamp.proto, "JSON Mapping").
func stamp(t time.Time) string {
	layout := "2006-01-02T15:04:05"
	switch n := t.Nanosecond(); {
	case n == 0:
	case n%1_000_000 == 0:
		layout += ".000"
	case n%1_000 == 0:
		layout += ".000000"
	default:
		layout += ".000000000"
	}
	return t.UTC().Format(layout) + "Z"
}

type money struct {
	CurrencyCode string `json:"currencyCode"`
	Units        int64  `json:"units,string"`
	Nanos        int32  `json:"nanos"`
}

func routes(pool *pgxpool.Pool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/products/{id}", func(w http.ResponseWriter, r *http.Request) {
		var p product
		var id string
		var create, update time.Time
		err := pool.QueryRow(r.Context(), query, r.PathValue("id")).Scan(&id, &p.UID, &p.SKU, &p.Title, &p.Description,
			&p.Price.CurrencyCode, &p.Price.Units, &p.Price.Nanos, &p.Labels, &p.State, &create, &update)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		p.Etag = etag(p)
		p.Name, p.State = "products/"+id, "STATE_"+p.State
		p.CreateTime, p.UpdateTime = stamp(create), stamp(update)
		text, err := json.Marshal(p)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(text)
	})
	return mux
}

// etag is the catalog's: a hash of the content.
func etag(p product) string {
	text := make([]byte, 0, 512)
	price := fmt.Sprintf("%s %d.%09d", p.Price.CurrencyCode, p.Price.Units, p.Price.Nanos)
	for _, s := range []string{p.UID, p.SKU, p.Title, p.Description, p.State, price} {
		text = appendString(text, s)
	}
	for _, k := range slices.Sorted(maps.Keys(p.Labels)) {
		text = appendString(text, k)
		text = appendString(text, p.Labels[k])
	}
	hash := sha256.Sum256(text)
	return base64.RawURLEncoding.EncodeToString(hash[:15])
}

func appendString(text []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint64(text, uint64(len(s))), s...)
}
