package feedback

// What is published and told in the year of TestYear.
const yearToReject = `day 1: publish v=DMARC1; p=none; rua=mailto:dmarc-reports@example.org
day 95: publish v=DMARC1; p=quarantine; rua=mailto:dmarc-reports@example.org; t=y
day 102: publish v=DMARC1; p=quarantine; rua=mailto:dmarc-reports@example.org
day 130: publish v=DMARC1; p=reject; rua=mailto:dmarc-reports@example.org; np=reject; t=y
day 144: publish v=DMARC1; p=reject; rua=mailto:dmarc-reports@example.org; np=reject
day 161: new: new-source/example.org/198.51.100.77
day 167: over: new-source/example.org/198.51.100.77
day 201: new, page: own/example.org/192.0.2.25
day 201: new: compliance/example.org/
day 214: over: compliance/example.org/
day 216: over, page: own/example.org/192.0.2.25
day 251: new: spoof/example.org/203.0.113.66
day 257: over: spoof/example.org/203.0.113.66
day 304: new: silent/example.org/
day 313: over: silent/example.org/
day 332: new: compliance/example.org/
day 333: over: compliance/example.org/
day 334: new, page: unaligned/example.org/198.51.100.9
day 343: over, page: unaligned/example.org/198.51.100.9
day 352: new: policy/example.org/p=none
day 355: over: policy/example.org/p=none
`

const yearToQuarantine = `day 1: publish v=DMARC1; p=none; rua=mailto:dmarc-reports@example.org
day 95: publish v=DMARC1; p=quarantine; rua=mailto:dmarc-reports@example.org; t=y
day 102: publish v=DMARC1; p=quarantine; rua=mailto:dmarc-reports@example.org
day 161: new: new-source/example.org/198.51.100.77
day 167: over: new-source/example.org/198.51.100.77
day 201: new, page: own/example.org/192.0.2.25
day 201: new: compliance/example.org/
day 214: over: compliance/example.org/
day 216: over, page: own/example.org/192.0.2.25
day 251: new: spoof/example.org/203.0.113.66
day 257: over: spoof/example.org/203.0.113.66
day 304: new: silent/example.org/
day 313: over: silent/example.org/
day 332: new: compliance/example.org/
day 333: over: compliance/example.org/
day 334: new, page: unaligned/example.org/198.51.100.9
day 343: over, page: unaligned/example.org/198.51.100.9
day 352: new: policy/example.org/p=none
day 355: over: policy/example.org/p=none
`
