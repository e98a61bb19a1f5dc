package interceptor

import (
	"context"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/slipway-dev/slipway/platform/serve/auth"
	"github.com/slipway-dev/slipway/platform/serve/errs"
	"github.com/slipway-dev/slipway/platform/serve/internal/access"
	"github.com/slipway-dev/slipway/platform/serve/internal/problem"
)

// Tokens verifies the values of the header Authorization.
type Tokens interface {
	Bearer(ctx context.Context, authorization []string) (*auth.Principal, error)
}

// authentication finds out who calls. A public method's caller is not asked; if
// nothing can verify tokens, every other method refuses.
func authentication(methods access.Methods, tokens Tokens) Interceptor {
	who := func(ctx context.Context, method string) (context.Context, error) {
		if methods.Find(method).Open() {
			return ctx, nil
		}
		if tokens == nil {
			return nil, errs.New(errs.Unauthenticated, "TOKEN_INVALID", "the service accepts no access tokens")
		}
		p, err := tokens.Bearer(ctx, metadata.ValueFromIncomingContext(ctx, "authorization"))
		if err != nil {
			return nil, err //nolint:wrapcheck // an errs.Error
		}
		return auth.NewContext(ctx, p), nil
	}
	return Interceptor{
		Name: "authentication",
		Unary: func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			ctx, err := who(ctx, info.FullMethod)
			if err != nil {
				return nil, err
			}
			return next(ctx, req)
		},
		Stream: func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			ctx, err := who(ss.Context(), info.FullMethod)
			if err != nil {
				return err
			}
			return next(srv, &streamContext{ServerStream: ss, ctx: ctx})
		},
	}
}

// authorization lets a caller through who holds every scope that the method's
// rule names. A method without a rule is for nobody.
func authorization(methods access.Methods) Interceptor {
	may := func(ctx context.Context, method string) error {
		m := methods.Find(method)
		if m.Open() {
			return nil
		}
		p, ok := auth.FromContext(ctx)
		if !ok || !m.Ruled {
			return errs.New(errs.PermissionDenied, "METHOD_NOT_OPEN", "nobody may call this method")
		}
		for _, scope := range m.Scopes {
			if !p.Has(scope) {
				return missing(m.Scopes, p)
			}
		}
		return nil
	}
	return Interceptor{
		Name: "authorization",
		Unary: func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			if err := may(ctx, info.FullMethod); err != nil {
				return nil, err
			}
			return next(ctx, req)
		},
		Stream: func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			if err := may(ss.Context(), info.FullMethod); err != nil {
				return err
			}
			return next(srv, ss)
		},
	}
}

// missing names the scopes that the caller's token lacks.
func missing(scopes []string, p auth.Principal) error {
	lacking := strings.Join(slices.DeleteFunc(slices.Clone(scopes), p.Has), " ")
	return errs.New(errs.PermissionDenied, problem.MissingScope, "the access token lacks the scope "+lacking).With(problem.ScopeKey, lacking)
}
