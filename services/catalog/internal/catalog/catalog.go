package catalog

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Store keeps products. Its methods return this package's errors where one
// fits; ids it does not have are ErrNotFound.
type Store interface {
	Insert(ctx context.Context, p Product) error
	Get(ctx context.Context, id string) (Product, error)
	// GetAll reads the ids that exist, in any order.
	GetAll(ctx context.Context, ids []string) ([]Product, error)
	// Update replaces a product by what change makes of it, while nobody else
	// can change it. An error from change is returned as it is.
	Update(ctx context.Context, id string, change func(Product) (Product, error)) (Product, error)
	// Delete removes a product unless check, run as change above, objects.
	Delete(ctx context.Context, id string, check func(Product) error) error
	// List and Search return at most Limit products.
	List(ctx context.Context, q Query) ([]Product, error)
	Search(ctx context.Context, s Search) ([]Match, error)
}

// Config is what a Catalog needs; all but Store has a default.
type Config struct {
	Store Store
	// Now is the clock; time.Now if nil.
	Now func() time.Time
	// NewID makes ids of products whose creator gave none; random if nil.
	NewID func() string
}

// Catalog is the service's business: what each method of the API does.
type Catalog struct {
	store Store
	now   func() time.Time
	newID func() string
}

// New makes a catalog. It fails without a store.
func New(c Config) (*Catalog, error) {
	if c.Store == nil {
		return nil, errors.New("make catalog: Store is nil")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.NewID == nil {
		c.NewID = func() string { return "p-" + strings.ToLower(rand.Text()[:16]) }
	}
	return &Catalog{store: c.Store, now: c.Now, newID: c.NewID}, nil
}

// Create adds a product with the id, or one made up if it is empty.
func (c *Catalog) Create(ctx context.Context, id string, content Content) (Product, error) {
	if id == "" {
		id = c.newID()
	}
	if !isID(id) {
		return Product{}, ErrInvalidName.WithField("product_id", "is "+quote(id))
	}
	if content.State == "" {
		content.State = Active
	}
	if err := content.Validate(); err != nil {
		return Product{}, err
	}
	now := c.now().UTC().Truncate(time.Microsecond)
	p := Product{ID: id, UID: newUUID(), Content: content, CreateTime: now, UpdateTime: now}
	if err := c.store.Insert(ctx, p); err != nil {
		return Product{}, fmt.Errorf("insert product %s: %w", id, err)
	}
	return p, nil
}

// Get reads one product.
func (c *Catalog) Get(ctx context.Context, id string) (Product, error) {
	p, err := c.store.Get(ctx, id)
	if err != nil {
		return Product{}, fmt.Errorf("get product %s: %w", id, err)
	}
	return p, nil
}

// BatchGet reads products in the order of the ids, all of them or an error.
func (c *Catalog) BatchGet(ctx context.Context, ids []string) ([]Product, error) {
	found, err := c.store.GetAll(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("get %d products: %w", len(ids), err)
	}
	byID := make(map[string]Product, len(found))
	for _, p := range found {
		byID[p.ID] = p
	}
	products := make([]Product, 0, len(ids))
	for _, id := range ids {
		p, ok := byID[id]
		if !ok {
			return nil, ErrNotFound.With("name", namePrefix+id)
		}
		products = append(products, p)
	}
	return products, nil
}

// Update changes a product; see Product.Apply for the rules.
func (c *Catalog) Update(ctx context.Context, id string, change Change) (Product, error) {
	p, err := c.store.Update(ctx, id, func(p Product) (Product, error) { return p.Apply(change, c.now()) })
	if err != nil {
		return Product{}, fmt.Errorf("update product %s: %w", id, err)
	}
	return p, nil
}

// Delete removes a product for good, if etag is empty or its own.
func (c *Catalog) Delete(ctx context.Context, id, etag string) error {
	if err := c.store.Delete(ctx, id, func(p Product) error { return p.CheckEtag(etag) }); err != nil {
		return fmt.Errorf("delete product %s: %w", id, err)
	}
	return nil
}

// ListRequest asks for a page of the list. FilterText is Filter as the client
// wrote it; it binds the page token.
type ListRequest struct {
	Filter     Filter
	FilterText string
	OrderBy    string
	PageSize   int32
	PageToken  string
}

// Page is a page of products and the token of the next one, if there is one.
type Page struct {
	Products  []Product
	NextToken string
}

// List returns a page. Pages follow one another without gap or repetition,
// whatever is created or deleted in between.
func (c *Catalog) List(ctx context.Context, r ListRequest) (Page, error) {
	order, err := ParseOrder(r.OrderBy)
	if err != nil {
		return Page{}, err
	}
	size, err := pageSize(r.PageSize)
	if err != nil {
		return Page{}, err
	}
	request := fingerprint("list", r.FilterText, order.String())
	after, err := decodeToken(r.PageToken, request)
	if err != nil {
		return Page{}, err
	}
	// One more than asked for tells whether there is a next page.
	products, err := c.store.List(ctx, Query{Filter: r.Filter, Order: order, After: after, Limit: size + 1})
	if err != nil {
		return Page{}, fmt.Errorf("list products: %w", err)
	}
	if len(products) <= int(size) {
		return Page{Products: products}, nil
	}
	products = products[:size]
	return Page{Products: products, NextToken: encodeToken(request, order.cursorAt(products[size-1]))}, nil
}

// SearchRequest asks for a page of a search.
type SearchRequest struct {
	Words     string
	PageSize  int32
	PageToken string
}

// Search returns the products whose title and description have the words, best
// match first.
func (c *Catalog) Search(ctx context.Context, r SearchRequest) (Page, error) {
	if strings.TrimSpace(r.Words) == "" || hasNUL(r.Words) {
		return Page{}, ErrQueryRequired.WithField("query", "has no word")
	}
	size, err := pageSize(r.PageSize)
	if err != nil {
		return Page{}, err
	}
	request := fingerprint("search", r.Words)
	after, err := decodeToken(r.PageToken, request)
	if err != nil {
		return Page{}, err
	}
	matches, err := c.store.Search(ctx, Search{Words: r.Words, After: after, Limit: size + 1})
	if err != nil {
		return Page{}, fmt.Errorf("search products: %w", err)
	}
	page := Page{Products: make([]Product, 0, len(matches))}
	for i, m := range matches {
		if i == int(size) {
			last := matches[size-1]
			page.NextToken = encodeToken(request, Cursor{ID: last.ID, Rank: last.Rank})
			break
		}
		page.Products = append(page.Products, m.Product)
	}
	return page, nil
}

// newUUID is a random UUID (RFC 9562, version 4), as AIP-148 asks of a uid.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}
