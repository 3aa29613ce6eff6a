package feedback

// What is published and told in the year of TestYear.
const yearToReject = `day 1: publish v=DMARC1; p=none; rua=mailto:dmarc-reports@example.org
day 95: publish v=DMARC1; p=quarantine; rua=mailto:dmarc-reports@example.org; t=y
day 102: publish v=DMARC1; p=quarantine; rua=mailto:dmarc-reports@example.org
day 130: publish v=DMARC1; p=reject; rua=mailto:dmarc-reports@example.org; np=reject; t=y
day 144: publish v=DMARC1; p=reject; rua=mailto:dmarc-reports@example.org; np=reject
day 201: new, page: own/example.org/192.0.2.25
day 201: new: compliance/example.org/
day 214: over: compliance/example.org/
day 216: over, page: own/example.org/192.0.2.25
day 251: new: spoof/example.org/203.0.113.66
day 257: over: spoof/example.org/203.0.113.66
day 304: new: silent/example.org/
day 313: over: silent/example.org/
`

const yearToQuarantine = `day 1: publish v=DMARC1; p=none; rua=mailto:dmarc-reports@example.org
day 95: publish v=DMARC1; p=quarantine; rua=mailto:dmarc-reports@example.org; t=y
day 102: publish v=DMARC1; p=quarantine; rua=mailto:dmarc-reports@example.org
day 201: new, page: own/example.org/192.0.2.25
day 201: new: compliance/example.org/
day 214: over: compliance/example.org/
day 216: over, page: own/example.org/192.0.2.25
day 251: new: spoof/example.org/203.0.113.66
day 257: over: spoof/example.org/203.0.113.66
day 304: new: silent/example.org/
day 313: over: silent/example.org/
`
