package web

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A certificate of our own is good for ownLife, and made anew renewBefore its end.
const (
	ownLife     = 365 * 24 * time.Hour
	renewBefore = 30 * 24 * time.Hour
)

// Certificate returns what the dashboard shows of itself by TLS: the user's, or one
// of our making, which is kept.
func (o Options) Certificate(now time.Time) (tls.Certificate, error) {
	if o.Cert != "" {
		c, err := tls.LoadX509KeyPair(o.Cert, o.Key)
		if err != nil {
			return c, fmt.Errorf("read the certificate %s and its key: %w", o.Cert, err)
		}
		return c, nil
	}
	cert, key := filepath.Join(o.folder(), "cert.pem"), filepath.Join(o.folder(), "key.pem")
	c, err := tls.LoadX509KeyPair(cert, key)
	names := o.ownNames()
	if err == nil && now.Before(c.Leaf.NotAfter.Add(-renewBefore)) && covers(c.Leaf, names) {
		return c, nil
	}
	if err := os.MkdirAll(o.folder(), 0o700); err != nil {
		return tls.Certificate{}, fmt.Errorf("make a folder for the certificate: %w", err)
	}
	certText, keyText, err := selfSigned(names, now)
	if err == nil {
		err = writePrivate(key, keyText)
	}
	if err == nil {
		err = writePrivate(cert, certText)
	}
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a certificate: %w", err)
	}
	return tls.X509KeyPair(certText, keyText)
}

// Fingerprint is what a user compares with what the browser shows of a certificate:
// the SHA-256 of it, in pairs of hexadecimal digits.
func Fingerprint(c tls.Certificate) string {
	sum := sha256.Sum256(c.Certificate[0])
	return strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":")
}

// ownNames is what a certificate of our own is for.
func (o Options) ownNames() []string {
	names := append([]string{"localhost", "127.0.0.1", "::1"}, o.Names...)
	if host := hostOf(o.Listen); host != "" {
		if ip, err := netip.ParseAddr(host); err != nil || !ip.IsUnspecified() {
			names = append(names, host)
		}
	}
	if host, err := os.Hostname(); err == nil && host != "" {
		names = append(names, host)
	}
	return names
}

func covers(leaf *x509.Certificate, names []string) bool {
	for _, name := range names {
		if leaf.VerifyHostname(name) != nil {
			return false
		}
	}
	return true
}

// selfSigned makes a certificate for names and addresses, and its key, in PEM.
func selfSigned(names []string, now time.Time) (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "Paceline dashboard"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(ownLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, name := range names {
		if ip, err := netip.ParseAddr(name); err == nil {
			template.IPAddresses = append(template.IPAddresses, ip.AsSlice())
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), nil
}
