# Verifies or seals with Mail::DKIM; as peer.py.
use strict;
use warnings;
use JSON::PP;
use Net::DNS;
use Mail::DKIM::ARC::Signer;
use Mail::DKIM::ARC::Verifier;
use Mail::DKIM::PrivateKey;

my $job = decode_json(do { local $/; <STDIN> });

{
    no warnings 'redefine';
    *Mail::DKIM::DNS::query = sub {
        my ($name) = @_;
        my $record = $job->{keys}{$name};
        if (!defined $record) { $@ = 'NXDOMAIN'; return; }
        return Net::DNS::RR->new(name => $name, type => 'TXT', txtdata => [$record =~ /(.{1,255})/gs]);
    };
}

sub feed { my ($to, $message) = @_; $to->PRINT($message); $to->CLOSE; return $to; }

my @out;
push @out, feed(Mail::DKIM::ARC::Verifier->new, $_)->result for @{ $job->{verify} || [] };
for my $s (@{ $job->{sign} || [] }) {
    (my $pem = $s->{key}) =~ s/-----[^-]*-----|\s//g;
    my $signer = Mail::DKIM::ARC::Signer->new(
        Algorithm => 'rsa-sha256', Chain => 'ar', Domain => $s->{domain}, SrvId => "mx.$s->{domain}",
        Selector => 'r', Key => Mail::DKIM::PrivateKey->load(Data => $pem));
    feed($signer, $s->{message});
    die $signer->result . ': ' . ($signer->{details} // '') unless $signer->result eq 'sealed';
    my $fields = $signer->as_string;
    $fields =~ s/\r?\n/\r\n/g;
    push @out, $fields . $s->{message};
}
print encode_json(\@out);
