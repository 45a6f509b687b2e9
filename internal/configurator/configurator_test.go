package configurator_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"m3o/internal/auth"
	"m3o/internal/configurator/configuratorapi"
	"m3o/internal/db/audit"
	"m3o/internal/db/dbtest"
	"m3o/internal/fault"
)

func TestTheMostSpecificSettingWins(t *testing.T) {
	each(t, func(t *testing.T, s configuratorapi.Service, h *house) {
		h.set(s, [3]string{"all", "Limit", "1"}, [3]string{"Shop", "limit", "2"}, [3]string{"all", "Title", "x"}, [3]string{"Stock.Shop", "LIMIT", "3"})
		for host, want := range map[string]map[string]string{
			"mail-box":   {"limit": "1", "title": "x"},
			"notes.shop": {"limit": "2", "title": "x"},
			"STOCK.shop": {"limit": "3", "title": "x"},
			"shop":       {"limit": "2", "title": "x"},
		} {
			got, err := s.Values(t.Context(), host)
			must(t, err)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: %s", host, diff)
			}
		}
	})
}

func TestSetIsKeptToldAndAudited(t *testing.T) {
	each(t, func(t *testing.T, s configuratorapi.Service, h *house) {
		h.set(s, [3]string{"Notes.Shop", "limit", "5"})
		if told := h.told(); !slices.Equal(told, []string{"Notes.Shop"}) {
			t.Errorf("told %v", told)
		}
		settings, next, err := s.List(h.admin(), 0, "")
		must(t, err)
		want := []configuratorapi.Setting{{Host: "Notes.Shop", Property: "limit", Value: "5", Updated: now(), By: "cus_admin"}}
		if diff := cmp.Diff(want, settings); diff != "" || next != "" {
			t.Errorf("next %q: %s", next, diff)
		}
		h.set(s, [3]string{"Notes.Shop", "limit", "5"})
		trail, err := audit.Of(t.Context(), h.db, "Notes.Shop", 10)
		must(t, err)
		if len(trail) != 1 || trail[0].Action != "configurator.Set" || trail[0].Actor != "cus_admin" || trail[0].Detail["property"] != "limit" || trail[0].Detail["value"] != "5" {
			t.Errorf("trail = %+v", trail)
		}
		if told := h.told(); !slices.Equal(told, []string{"Notes.Shop"}) {
			t.Errorf("when nothing changed, told %v", told)
		}
	})
}

func TestUnsetTakesItBack(t *testing.T) {
	each(t, func(t *testing.T, s configuratorapi.Service, h *house) {
		h.set(s, [3]string{"notes.shop", "Limit", "5"}, [3]string{"all", "Limit", "6"})
		h.told()
		must(t, s.Unset(h.admin(), "NOTES.shop", "limit"))
		if told := h.told(); !slices.Equal(told, []string{"NOTES.shop"}) {
			t.Errorf("told %v", told)
		}
		values, err := s.Values(t.Context(), "notes.shop")
		if err != nil || values["limit"] != "6" {
			t.Errorf("%v, %v", values, err)
		}
		must(t, s.Unset(h.admin(), "notes.shop", "NotThere"))
		trail, err := audit.Of(t.Context(), h.db, "NOTES.shop", 10)
		if err != nil || len(trail) != 1 || trail[0].Action != "configurator.Unset" {
			t.Errorf("trail = %+v, %v", trail, err)
		}
		wantField(t, s.Unset(h.admin(), "", "Limit"), "host")
		wantField(t, s.Unset(h.admin(), "all", ""), "property")
	})
}

func TestSetRefusesWhatNoServiceWouldTake(t *testing.T) {
	each(t, func(t *testing.T, s configuratorapi.Service, h *house) {
		for _, refused := range []struct{ host, property, value, field string }{
			{"", "Limit", "1", "host"}, {"elsewhere", "Limit", "1", "host"}, {"es.shop", "Limit", "1", "host"}, {"shop.notes", "Limit", "1", "host"},
			{"shop", "", "1", "property"}, {"shop", "Limits", "1", "property"}, {"shop", strings.Repeat("x", 200), "1", "property"},
			{"mail-box", "Password", "hunter2", "property"}, {"all", "password", "hunter2", "property"},
			{"notes.shop", "Limit", "10", "value"}, {"notes.shop", "Limit", "", "value"}, {"notes.shop", "Limit", "1.5", "value"},
			{"shop", "Limit", "10", "value"}, {"stock.shop", "Limit", "100", "value"},
			{"shop", "Title", strings.Repeat("x", 64<<10+1), "value"}, {"shop", "Title", "a\x00", "value"},
		} {
			err := s.Set(h.admin(), refused.host, refused.property, refused.value)
			wantField(t, err, refused.field)
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("it shows a secret: %v", err)
			}
		}
		h.set(s, [3]string{"stock.shop", "Limit", "10"}, [3]string{"shop", "title", "fine"})
		wantField(t, h.direct.Set(h.admin(), "shop", "Title", "a\xff"), "value")
		err := s.Set(h.admin(), "shop", "Limit", "10")
		if err == nil || !strings.Contains(err.Error(), "notes.shop.Limit") || !strings.Contains(err.Error(), "[1,9]") {
			t.Errorf("err = %v, want one that names the service and the rule", err)
		}
	})
}

func TestOnlyAdminsChangeAndSeeSettings(t *testing.T) {
	each(t, func(t *testing.T, s configuratorapi.Service, h *house) {
		customer := auth.With(t.Context(), auth.Account{ID: "cus_1", Type: auth.TypeCustomer})
		for name, call := range map[string]func() error{
			"Set":     func() error { return s.Set(customer, "all", "Limit", "1") },
			"Unset":   func() error { return s.Unset(customer, "all", "Limit") },
			"Refresh": func() error { return s.Refresh(customer) },
			"List":    func() error { _, _, err := s.List(customer, 0, ""); return err },
		} {
			if err := call(); !fault.Is(err, fault.Forbidden) {
				t.Errorf("%s: err = %v", name, err)
			}
		}
		if told := h.told(); len(told) != 0 {
			t.Errorf("told %v", told)
		}
	})
}

func TestListIsPaged(t *testing.T) {
	each(t, func(t *testing.T, s configuratorapi.Service, h *house) {
		h.set(s, [3]string{"stock.shop", "Limit", "3"}, [3]string{"all", "Limit", "1"}, [3]string{"shop", "Title", "x"}, [3]string{"shop", "Limit", "2"})
		var found []string
		for cursor, pages := "", 0; pages == 0 || cursor != ""; pages++ {
			page, next, err := s.List(h.admin(), 3, cursor)
			must(t, err)
			for _, one := range page {
				found = append(found, one.Host+"."+one.Property)
			}
			cursor = next
		}
		slices.Sort(found)
		if diff := cmp.Diff([]string{"all.Limit", "shop.Limit", "shop.Title", "stock.shop.Limit"}, found); diff != "" {
			t.Error(diff)
		}
		_, _, err := s.List(h.admin(), -1, "")
		wantField(t, err, "limit")
		_, _, err = s.List(h.admin(), 0, "nonsense")
		wantField(t, err, "cursor")
	})
}

func TestRefreshReadsTheFileAndTellsEverybody(t *testing.T) {
	each(t, func(t *testing.T, s configuratorapi.Service, h *house) {
		must(t, s.Refresh(h.admin()))
		if told := h.told(); !slices.Equal(told, []string{""}) {
			t.Errorf("told %q", told)
		}
		h.broken = errors.New("config file config.yaml: line 3: thing.limit is set twice")
		err := s.Refresh(h.admin())
		if !fault.Is(err, fault.Unprocessable) || !strings.Contains(err.Error(), "line 3") {
			t.Errorf("err = %v", err)
		}
		if told := h.told(); len(told) != 0 {
			t.Errorf("of a broken file told %q", told)
		}
	})
}

func TestAChangeThatNotEverybodyHeardIsUnavailableAndMayBeRepeated(t *testing.T) {
	each(t, func(t *testing.T, s configuratorapi.Service, h *house) {
		h.deaf = errors.New("deaf")
		if err := s.Set(h.admin(), "all", "Limit", "4"); !fault.Is(err, fault.Unavailable) {
			t.Errorf("err = %v", err)
		}
		h.told()
		h.deaf = nil
		must(t, s.Set(h.admin(), "all", "Limit", "4"))
		if told := h.told(); !slices.Equal(told, []string{"all"}) {
			t.Errorf("told %v", told)
		}
	})
}

func TestRemindTellsEverybody(t *testing.T) {
	t.Parallel()
	h := setup(t, dbtest.SQLite(t))
	must(t, h.direct.Remind(t.Context()))
	if told := h.told(); !slices.Equal(told, []string{"all"}) {
		t.Errorf("told %q", told)
	}
}
