package proxy

import "github.com/prometheus/client_golang/prometheus"

var (
	certificateExpiry = prometheus.NewDesc("portico_edge_certificate_expiry_timestamp_seconds",
		"When the certificate in use for a name expires.", []string{"name"}, nil)
	certificateFailed = prometheus.NewDesc("portico_edge_certificate_failed",
		"1 when the last attempt to get or renew the certificate for a name failed, else 0.", []string{"name"}, nil)
	certificateFailures = prometheus.NewDesc("portico_edge_certificate_failures_total",
		"Attempts to get or renew a certificate that failed.", nil, nil)
	certificateDescriptions = []*prometheus.Desc{certificateExpiry, certificateFailed, certificateFailures}
)

// collectCertificates tells of the certificates of configured names.
func (p *Proxy) collectCertificates(into chan<- prometheus.Metric) {
	into <- prometheus.MustNewConstMetric(certificateFailures, prometheus.CounterValue, float64(p.certs.Failures()))
	for _, status := range p.certs.Statuses() {
		if status.OnDemand { // clients choose these names
			continue
		}
		if !status.Expiry.IsZero() {
			into <- prometheus.MustNewConstMetric(certificateExpiry, prometheus.GaugeValue, float64(status.Expiry.Unix()), status.Name)
		}
		failed := 0.0
		if status.Error != "" {
			failed = 1
		}
		into <- prometheus.MustNewConstMetric(certificateFailed, prometheus.GaugeValue, failed, status.Name)
	}
}
