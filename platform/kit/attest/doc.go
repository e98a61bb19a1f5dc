// Package attest makes, attaches and examines the evidence of a release: that
// the environment's key signed this very image, from which source it was built
// and how (provenance), and what is in it (a bill of materials, SBOM).
//
// Everything is an OCI referrer of the image index, so it travels with the
// image and any registry with the referrers API keeps it:
//
//   - three sigstore bundles (artifact type
//     application/vnd.dev.sigstore.bundle.v0.3+json), each one signed in-toto
//     statement about the index: of type https://sigstore.dev/cosign/sign/v1,
//     what cosign sign writes; https://slsa.dev/provenance/v1; and
//     https://cyclonedx.org/bom, the SBOM;
//   - the SBOM alone (application/vnd.cyclonedx+json), for tools that read no
//     statements; it must be byte for byte the one that was signed.
//
// A bundle's annotations say what it is (dev.sigstore.bundle.predicateType), so
// that a reader need not fetch all; nothing is believed because of them.
//
// Other parts add statements of their own with [Attach], and read what the key
// vouches for with [Find]. Who holds the key can say anything: the checks tell
// whether an image is one that the key's holder built, not whether it is good.
package attest
