package dnsapply

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/libdns/cloudflare"

	"posta/internal/zone"
)

// cloud is a double of Cloudflare's interface, as its documents describe it, under the
// real client: records have ids, texts are kept in quotes and long ones in pieces,
// names are whole, and content cannot be searched for with SRV.
type cloud struct {
	t       *testing.T
	zone    string
	records []map[string]any
	next    int
}

// Do implements cloudflare.HTTPClient.
func (c *cloud) Do(r *http.Request) (*http.Response, error) {
	if r.Header.Get("Authorization") != "Bearer secreto" {
		return nil, errors.New("no token")
	}
	path := strings.TrimPrefix(r.URL.Path, "/client/v4")
	switch {
	case path == "/zones":
		if r.URL.Query().Get("name") != c.zone+"." && r.URL.Query().Get("name") != c.zone {
			return c.reply([]any{})
		}
		return c.reply([]any{map[string]any{"id": "z1", "name": c.zone}})
	case r.Method == http.MethodGet && path == "/zones/z1/dns_records":
		return c.reply(c.search(r))
	case r.Method == http.MethodPost && path == "/zones/z1/dns_records":
		return c.create(r)
	case r.Method == http.MethodDelete:
		id := path[strings.LastIndexByte(path, '/')+1:]
		i := slices.IndexFunc(c.records, func(x map[string]any) bool { return x["id"] == id })
		gone := c.records[i]
		c.records = slices.Delete(c.records, i, i+1)
		return c.reply(gone)
	}
	return nil, fmt.Errorf("%s %s", r.Method, r.URL)
}

func (c *cloud) reply(result any) (*http.Response, error) {
	n := 1
	if list, ok := result.([]map[string]any); ok {
		n = len(list)
	}
	b, err := json.Marshal(map[string]any{"success": true, "result": result,
		"result_info": map[string]int{"page": 1, "per_page": 100, "count": n, "total_count": n}})
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(string(b)))}, nil
}

func (c *cloud) search(r *http.Request) []map[string]any {
	q, out := r.URL.Query(), []map[string]any{}
	for _, x := range c.records {
		content, _ := x["content"].(string)
		if (q.Get("type") == "" || x["type"] == q.Get("type")) && (q.Get("name") == "" || x["name"] == strings.TrimSuffix(q.Get("name"), ".")) &&
			(q.Get("content.exact") == "" || content == q.Get("content.exact")) && strings.Contains(content, q.Get("content.contains")) {
			out = append(out, x)
		}
	}
	return out
}

func (c *cloud) create(r *http.Request) (*http.Response, error) {
	var x map[string]any
	if err := json.NewDecoder(r.Body).Decode(&x); err != nil {
		return nil, err
	}
	switch name := x["name"].(string); {
	case name == "@":
		x["name"] = c.zone
	case !strings.HasSuffix(name, c.zone):
		x["name"] = name + "." + c.zone
	}
	if text, _ := x["content"].(string); x["type"] == "TXT" && len(text) > 257 {
		x["content"] = text[:256] + `" "` + text[256:]
	}
	c.next++
	x["id"] = fmt.Sprint("r", c.next)
	c.records = append(c.records, x)
	return c.reply(x)
}

// The real client of Cloudflare takes our records, long texts too, and gives them up
// again; an SRV record of others beside ours is not removed with it.
func TestCloudflareClient(t *testing.T) {
	c := &cloud{t: t, zone: "empresa.test"}
	source := LibDNS{API: &cloudflare.Provider{APIToken: "secreto", HTTPClient: c}, Blunt: bluntAtCloudflare}
	ps := Providers{{Name: "cloudflare", Zones: []string{"empresa.test"}, Source: source}}
	c.records = append(c.records, map[string]any{"id": "r0", "type": "TXT", "name": "empresa.test", "content": `"sitio-verificado=1"`})
	// TLSA wants fields that this client does not fill in; it is left to the provider
	// to refuse it.
	wanted := slices.DeleteFunc(own(wantedOf("empresa.test")), func(r zone.Record) bool { return r.Type == "TLSA" })
	steps := cycle(t, ps, wanted, nil, false)
	made := written(nil, steps)
	if n := actions(steps); n[zone.Add] != len(wanted) || len(c.records) != len(wanted)+1 {
		t.Errorf("the first apply: %v of %d, %d records", n, len(wanted), len(c.records))
	}
	if n := actions(cycle(t, ps, wanted, made, false)); n[zone.Nothing] != len(wanted) {
		t.Errorf("the second apply: %v", n)
	}

	imaps := zone.Record{Name: "_imaps._tcp.empresa.test", Type: "SRV", Value: "0 1 993 mail.empresa.test"}
	c.records = append(c.records, map[string]any{"id": "otro", "type": "SRV", "name": imaps.Name,
		"data": map[string]any{"priority": 5, "weight": 1, "port": 993, "target": "otro.test"}})
	err := ps.Write(t.Context(), []zone.Step{{Record: imaps, Action: zone.Remove}})
	if err == nil || !strings.Contains(err.Error(), "would remove both; remove \"0 1 993 mail.empresa.test\" by hand") || len(c.records) != len(wanted)+2 {
		t.Errorf("beside another's: %v, %d records", err, len(c.records))
	}
	c.records = slices.DeleteFunc(c.records, func(x map[string]any) bool { return x["id"] == "otro" })

	cycle(t, ps, nil, made, false)
	if len(c.records) != 1 || c.records[0]["id"] != "r0" {
		t.Errorf("left: %v", c.records)
	}
}
