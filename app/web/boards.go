package web

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/gorilla/mux"

	"github.com/portico-web/portico/app/board"
	"github.com/portico-web/portico/app/post"
	"github.com/portico-web/portico/internal/fault"
	"github.com/portico-web/portico/internal/field"
	"github.com/portico-web/portico/internal/lang"
	"github.com/portico-web/portico/internal/listing"
)

const postsPerPage = 20

// boardView is a board with one page of its posts.
type boardView struct {
	*view
	form
	Board       board.Board
	School      string
	Posts       []post.Post
	Count       int64
	Page, Pages int64
	Obstacle    string // why the reader cannot post here; empty when they can
}

// numberOf is the number in a page's address. The routes let only digits through, few enough for an int64.
func numberOf(r *http.Request) int64 {
	id, err := strconv.ParseInt(mux.Vars(r)["id"], 10, 64)
	if err != nil {
		return 0
	}
	return id
}

func (p *Pages) showBoard(w http.ResponseWriter, r *http.Request) error {
	return p.board(w, r, http.StatusOK, form{})
}

// board shows a board, with what somebody typed into its form.
func (p *Pages) board(w http.ResponseWriter, r *http.Request, status int, typed form) error {
	found, err := p.Boards.Get(r.Context(), numberOf(r))
	if err != nil {
		return err
	}
	home, err := p.Schools.Get(r.Context(), found.SchoolID)
	if err != nil {
		return err
	}
	in := post.ListInput{BoardID: listing.Filter[int64]{Value: found.ID, Set: true}}
	in.Page, in.PageSize = 1, postsPerPage
	if text := r.URL.Query().Get("page"); text != "" {
		if in.Page, err = strconv.ParseInt(text, 10, 64); err != nil || in.Page < 1 {
			return fault.New(fault.NotFound, "Invalid page.")
		}
	}
	page, err := p.Posts.List(r.Context(), &in)
	if err != nil {
		return err
	}
	v, err := p.viewOf(w, r, "")
	if err != nil {
		return err
	}
	v.Title = found.Name
	shown := boardView{
		view: v, form: typed, Board: found, School: home.SchoolName, Posts: page.Results, Count: page.Count,
		Page: in.Page, Pages: max((page.Count+postsPerPage-1)/postsPerPage, 1),
	}
	if v.User != nil {
		if _, err := post.MayPost(r.Context(), found.SchoolID); err != nil {
			shown.Obstacle = lang.Of(r.Context()).Text(err.Error())
		}
	}
	return p.show(w, r, status, "board", shown)
}

// writePost answers the form on a board's page.
func (p *Pages) writePost(w http.ResponseWriter, r *http.Request) error {
	typed := read(r, "title", "content", "anonymous")
	made, err := p.Posts.Create(r.Context(), numberOf(r), postFields(typed))
	if fault.KindOf(err) == fault.Unauthenticated {
		http.Redirect(w, r, loginPath(r.URL.Path), http.StatusSeeOther)
		return nil
	}
	if err != nil {
		status, unknown := typed.blame(w, r, err)
		if unknown != nil {
			return unknown
		}
		return p.board(w, r, status, typed)
	}
	p.redirect(w, r, fmt.Sprintf("/posts/%d/", made.ID), "posted")
	return nil
}

func postFields(typed form) post.Fields {
	return post.Fields{
		Title: field.OfText(typed.Value("title")), Content: field.OfText(typed.Value("content")),
		Anonymous: field.OfBool(typed.Value("anonymous") != ""),
	}
}
