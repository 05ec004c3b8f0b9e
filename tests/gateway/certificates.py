"""Certificates for tests: an authority, and what it signs."""

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class Authority:
    """Signs certificates and writes them, with their keys, into a folder; all run out after so many days."""

    def __init__(self, folder, name="test authority", *, days=2):
        self.folder, self.name, self.days = folder, _name(name), days
        folder.mkdir(parents=True, exist_ok=True)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.file = folder / f"{name.replace(' ', '-')}.pem"
        certificate = self._build(self.name, self.key.public_key(), [], is_authority=True)
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def sign(self, stem, common_name, *alternatives):
        """Write STEM.pem and STEM.key; alternatives are x509 general names."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._build(_name(common_name), key.public_key(), alternatives, is_authority=False)
        pem, secret = self.folder / f"{stem}.pem", self.folder / f"{stem}.key"
        pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        form = serialization.PrivateFormat.PKCS8
        secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
        return pem, secret

    def sign_gateway(self, stem="gateway"):
        """Write a certificate for 127.0.0.1."""
        return self.sign(stem, stem, x509.IPAddress(ipaddress.ip_address("127.0.0.1")))

    def client_context(self, pair=None):
        """Make what a client needs to trust us and, with a certificate of its own, to be trusted."""
        context = ssl.create_default_context(cafile=self.file)
        if pair is not None:
            context.load_cert_chain(*pair)
        return context

    def _build(self, subject, public_key, alternatives, *, is_authority):
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=self.days))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(list(alternatives)), critical=False)
        return builder.sign(self.key, hashes.SHA256())
