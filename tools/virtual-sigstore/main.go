// Command virtual-sigstore signs an image by certificate with the test authority of sigstore-go: what a test reads is made by nobody
// who shares code with the program under test.
//
// Usage: virtual-sigstore DIRECTORY DIGEST SUBJECT ISSUER
//
// It writes into DIRECTORY, with keys of its own that nobody keeps:
//
//	trusted_root.json  the CA, the log and the TSA
//	rekor1.json        signed now; an entry of Rekor v1 and a timestamp of the TSA
//	rekor2.json        signed now; an entry of Rekor v2 and a timestamp of the TSA
//	early.json         signed now; an entry of Rekor v1 whose time is before the certificate
//
// DIGEST is that of the image (sha256:…), SUBJECT an e-mail address. Certificates are valid for ten minutes from now.
package main

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"google.golang.org/protobuf/encoding/protojson"
)

// What cosign signs of an image.
func statement(digest string) ([]byte, error) {
	return json.Marshal(map[string]any{
		"_type":         "https://in-toto.io/Statement/v1",
		"subject":       []any{map[string]any{"digest": map[string]string{"sha256": strings.TrimPrefix(digest, "sha256:")}}},
		"predicateType": "https://sigstore.dev/cosign/sign/v1",
		"predicate":     map[string]any{},
	})
}

// The authority describes itself with the hexadecimal form of log IDs, and files have the bytes.
func trustedRoot(authority *ca.VirtualSigstore) ([]byte, error) {
	logs := authority.RekorLogs()
	for id, log := range logs {
		raw, err := hex.DecodeString(id)
		if err != nil {
			return nil, err
		}
		log.ID = raw
	}
	trusted, err := root.NewTrustedRoot(root.TrustedRootMediaType01, authority.FulcioCertificateAuthorities(), nil,
		authority.TimestampingAuthorities(), logs)
	if err != nil {
		return nil, err
	}
	return trusted.MarshalJSON()
}

// Entries of Rekor v1 come without what is in the file besides: their kind, and the promise of the log.
func complete(authority *ca.VirtualSigstore, entry *protorekor.TransparencyLogEntry) error {
	if entry.KindVersion != nil {
		return nil
	}
	promise, err := authority.RekorSignPayload(tlog.RekorPayload{
		Body:           base64.StdEncoding.EncodeToString(entry.CanonicalizedBody),
		IntegratedTime: entry.IntegratedTime,
		LogIndex:       entry.LogIndex,
		LogID:          hex.EncodeToString(entry.LogId.KeyId),
	})
	if err != nil {
		return err
	}
	entry.KindVersion = &protorekor.KindVersion{Kind: "dsse", Version: "0.0.1"}
	entry.InclusionPromise = &protorekor.InclusionPromise{SignedEntryTimestamp: promise}
	return nil
}

func bundle(authority *ca.VirtualSigstore, entity *ca.TestEntity) ([]byte, error) {
	verification, err := entity.VerificationContent()
	if err != nil {
		return nil, err
	}
	certificate := verification.Certificate()
	signed, err := entity.SignatureContent()
	if err != nil {
		return nil, err
	}
	envelope := signed.EnvelopeContent().RawEnvelope()
	payload, err := envelope.DecodeB64Payload()
	if err != nil {
		return nil, err
	}
	timestamps, err := entity.Timestamps()
	if err != nil {
		return nil, err
	}
	entries, err := entity.TlogEntries()
	if err != nil {
		return nil, err
	}
	material := material(certificate, timestamps)
	for _, entry := range entries {
		file := entry.TransparencyLogEntry()
		if err := complete(authority, file); err != nil {
			return nil, err
		}
		material.TlogEntries = append(material.TlogEntries, file)
	}
	return protojson.Marshal(&protobundle.Bundle{
		MediaType:            "application/vnd.dev.sigstore.bundle.v0.3+json",
		VerificationMaterial: material,
		Content: &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{
			Payload:     payload,
			PayloadType: envelope.PayloadType,
			Signatures:  []*protodsse.Signature{{Sig: signed.Signature()}},
		}},
	})
}

func material(certificate *x509.Certificate, timestamps [][]byte) *protobundle.VerificationMaterial {
	var tokens []*protocommon.RFC3161SignedTimestamp
	for _, timestamp := range timestamps {
		tokens = append(tokens, &protocommon.RFC3161SignedTimestamp{SignedTimestamp: timestamp})
	}
	return &protobundle.VerificationMaterial{
		Content: &protobundle.VerificationMaterial_Certificate{
			Certificate: &protocommon.X509Certificate{RawBytes: certificate.Raw},
		},
		TimestampVerificationData: &protobundle.TimestampVerificationData{Rfc3161Timestamps: tokens},
	}
}

func run(directory, digest, subject, issuer string) error {
	authority, err := ca.NewVirtualSigstore()
	if err != nil {
		return err
	}
	signed, err := statement(digest)
	if err != nil {
		return err
	}
	trusted, err := trustedRoot(authority)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(directory, "trusted_root.json"), trusted, 0o644); err != nil {
		return err
	}
	for name, sign := range map[string]func() (*ca.TestEntity, error){
		"rekor1.json": func() (*ca.TestEntity, error) {
			return authority.AttestAtTime(subject, issuer, signed, time.Now(), true)
		},
		"rekor2.json": func() (*ca.TestEntity, error) {
			return authority.AttestAtTimeHashedRekordV2(subject, issuer, signed, time.Unix(0, 0))
		},
		"early.json": func() (*ca.TestEntity, error) {
			return authority.AttestAtTime(subject, issuer, signed, time.Now().Add(-30*time.Minute), true)
		},
	} {
		entity, err := sign()
		if err != nil {
			return err
		}
		content, err := bundle(authority, entity)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(directory, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: virtual-sigstore DIRECTORY DIGEST SUBJECT ISSUER")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3], os.Args[4]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
