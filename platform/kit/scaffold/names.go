package scaffold

import (
	"fmt"
	"go/token"
	"go/types"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/platform/kit/manifest"
)

// example is a command that works.
const example = "go tool mage new gift-cards --team=checkout"

// NameError refuses a name before anything was written.
type NameError struct{ Text, Command string }

// Error says what is wrong with the name.
func (e *NameError) Error() string { return e.Text }

// Next is a command that would do.
func (e *NameError) Next() string { return e.Command }

// ExitCode is that of a wrong argument.
func (*NameError) ExitCode() int { return 2 }

func refuse(format string, args ...any) error {
	return &NameError{Text: fmt.Sprintf(format, args...), Command: example}
}

// names are the forms of a service's name and of what it keeps, as the
// templates use them. The comments show them for gift-cards.
type names struct {
	Service    string // gift-cards
	Team       string // checkout
	Package    string // giftcards, of Go and proto
	ProtoFile  string // gift_cards_service
	API        string // GiftCardService
	Type       string // GiftCard
	Types      string // GiftCards
	TypeID     string // GiftCardId, as protoc-gen-go writes it
	Field      string // gift_card
	Fields     string // gift_cards
	Table      string // gift_cards
	Camel      string // giftCard
	Collection string // giftCards
	Upper      string // GIFT_CARD
	Human      string // gift card
	Humans     string // gift cards
	A          string // a, or an
	AUpper     string // A, or An
}

// Route is the path pattern that leads to the service.
func (n names) Route() string { return "/v1/" + n.Collection + "*" }

// word is what names are made of: words of letters and digits that begin with a
// letter, joined by single dashes. Proto fields and Go names made of others
// would not come out alike in all languages.
var word = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z][a-z0-9]*)*$`)

// Longest names: of a service as manifests have it; of a resource so that
// PostgreSQL's 63 bytes hold the names of its constraints.
const (
	maxService  = 32
	maxResource = 40
)

func nameOf(c Config) (names, error) {
	switch {
	case !word.MatchString(c.Name) || len(c.Name) > maxService:
		return names{}, refuse("new service %q: a name has lower-case words joined by dashes, each beginning with a letter, at most %d characters", c.Name, maxService)
	case c.Resource != "" && (!word.MatchString(c.Resource) || len(c.Resource) > maxResource):
		return names{}, refuse("new service %s: resource %q must be lower-case words in the singular, joined by dashes, each beginning with a letter, at most %d characters", c.Name, c.Resource, maxResource)
	case c.Team != "" && !word.MatchString(c.Team):
		return names{}, refuse("new service %s: team %q must be lower-case words joined by dashes", c.Name, c.Team)
	}
	one := singular(c.Name)
	resource := c.Resource
	if resource == "" {
		resource = one
	}
	many := plural(resource)
	n := names{
		Service: c.Name, Team: c.Team, Package: strings.ReplaceAll(c.Name, "-", ""),
		ProtoFile: strings.ReplaceAll(c.Name, "-", "_") + "_service", API: camel(one) + "Service",
		Type: camel(resource), Types: camel(many), TypeID: camel(resource) + "Id",
		Field: strings.ReplaceAll(resource, "-", "_"), Fields: strings.ReplaceAll(many, "-", "_"),
		Table: strings.ReplaceAll(many, "-", "_"), Camel: lower(camel(resource)), Collection: lower(camel(many)),
		Human: strings.ReplaceAll(resource, "-", " "), Humans: strings.ReplaceAll(many, "-", " "), A: "a",
	}
	if n.Team == "" {
		n.Team = n.Service
	}
	n.Upper = strings.ToUpper(n.Field)
	if strings.ContainsRune("aeiou", rune(resource[0])) {
		n.A = "an"
	}
	n.AUpper = strings.ToUpper(n.A[:1]) + n.A[1:]
	return n, n.reserved()
}

// taken are names that mean something already in the code that is made.
var (
	packages = strings.Fields(`all base64 cmp codes context database db embed emptypb errors errs fmt grpc http init
		internal json main os pgx pgxpool platform proto rand rpc runtime serve servetest services slices slipway status
		store strconv strings testdata testing time timestamppb utf8 vendor`)
	resources = strings.Fields(`config keeper page query store`) // types beside the resource's
	tables    = strings.Fields(`as is references values`)        // plurals that are words of SQL
)

func (n names) reserved() error {
	switch {
	case token.IsKeyword(n.Package):
		return refuse("new service %s: %q is a keyword of Go and cannot name a package", n.Service, n.Package)
	case types.Universe.Lookup(n.Package) != nil:
		return refuse("new service %s: %q is predeclared in Go; a package of that name would hide it", n.Service, n.Package)
	case slices.Contains(packages, n.Package):
		return refuse("new service %s: %q is the name of something that its code or the platform uses", n.Service, n.Package)
	case slices.Contains(resources, n.Field):
		return refuse("new service %s: %q is a type that its code has already; name what it keeps: --resource=NAME", n.Service, n.Field)
	case slices.Contains(tables, n.Table):
		return refuse("new service %s: the plural of %q is a word of SQL; name what it keeps otherwise: --resource=NAME", n.Service, n.Human)
	}
	return nil
}

// free reports what the service would collide with in the checkout.
func (n names) free(root string) error {
	for _, dir := range []string{"services/" + n.Service, "proto/slipway/" + n.Package} {
		if _, err := os.Lstat(local(root, dir)); err == nil {
			return refuse("new service %s: %s exists already", n.Service, dir)
		}
	}
	work, err := manifest.Load(root)
	if err != nil {
		return fmt.Errorf("read the services there are: %w", err)
	}
	for _, r := range work.Routes() {
		within, _, _ := strings.Cut(r.Pattern, "*")
		if manifest.MatchRoute(r.Pattern, "/v1/"+n.Collection) || manifest.MatchRoute(n.Route(), within) {
			return refuse("new service %s: its route %s meets %s of service %s; name what it keeps otherwise: --resource=NAME",
				n.Service, n.Route(), r.Pattern, r.Service)
		}
	}
	return nil
}

// singular is the singular of a regular English plural, or the word itself.
func singular(name string) string {
	for _, ending := range []struct{ plural, singular string }{
		{"ss", "ss"},
		{"us", "us"},
		{"is", "is"},
		{"ies", "y"},
		{"sses", "ss"},
		{"xes", "x"},
		{"ches", "ch"},
		{"shes", "sh"},
		{"s", ""},
	} {
		if stem, ok := strings.CutSuffix(name, ending.plural); ok && len(stem) > 1 && stem[len(stem)-2] != '-' {
			return stem + ending.singular
		}
	}
	return name
}

// plural is the regular English plural of a word.
func plural(name string) string {
	if stem, ok := strings.CutSuffix(name, "y"); ok && stem != "" && !strings.ContainsRune("aeiou-", rune(stem[len(stem)-1])) {
		return stem + "ies"
	}
	for _, ending := range []string{"s", "x", "z", "ch", "sh"} {
		if strings.HasSuffix(name, ending) {
			return name + "es"
		}
	}
	return name + "s"
}

// camel joins the words of a name, each with a capital.
func camel(name string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(name, "-") {
		b.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return b.String()
}

func lower(name string) string { return strings.ToLower(name[:1]) + name[1:] }
